/*
 * The main of a fuzz target in the test suite: feeds it every file of a
 * folder, whole and cut short at every length up to a bound, and prints TAP.
 * A crash or a sanitizer report ends the program, which is the failure.
 *
 * Finding new inputs is for the fuzzers ("make fuzz"); this keeps the old ones
 * found.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CUTS_MAX = 2048 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t *
read_file(const char *path, size_t *size)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        return NULL;
    uint8_t *data = NULL;
    size_t n = 0, cap = 0;
    for (;;) {
        if (n == cap) {
            cap = cap ? cap * 2 : 4096;
            data = realloc(data, cap);
            if (!data)
                abort();
        }
        size_t got = fread(data + n, 1, cap - n, f);
        if (got == 0)
            break;
        n += got;
    }
    fclose(f);
    *size = n;
    return data;
}

/* In memory of exactly that size, so that reading past it is seen. */
static void
feed(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);
    if (!copy)
        abort();
    memcpy(copy, data, size);
    (void)LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

static int
compare(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int
regular(const struct dirent *e)
{
    return e->d_name[0] != '.';
}

int
main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);

    struct dirent **names = NULL;
    int n = scandir(argv[1], &names, regular, compare);
    if (n < 0) {
        perror(argv[1]);
        return 2;
    }
    int test = 1;
    feed((const uint8_t *)"", 0);
    printf("ok %d - nothing at all\n", test++);
    for (int i = 0; i < n; i++) {
        char path[4096];
        snprintf(path, sizeof(path), "%s/%s", argv[1], names[i]->d_name);
        size_t size = 0;
        uint8_t *data = read_file(path, &size);
        if (data) {
            for (size_t cut = 1; cut < size && cut <= CUTS_MAX; cut++)
                feed(data, cut);
            feed(data, size);
        }
        printf("%sok %d - %s\n", data ? "" : "not ", test++, names[i]->d_name);
        free(data);
        free(names[i]);
    }
    free(names);
    printf("1..%d\n", test - 1);
    return 0;
}
