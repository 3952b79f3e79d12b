/*
 * What string slices need beyond their header: digits, trimming, and the
 * nearest word for "did you mean".
 */
#include "core/str.h"

enum { WORD_MAX = 48 }; /* longer words get no suggestion */

static unsigned distance(const char *a, size_t na, const char *b, size_t nb);

int
lnt_hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

struct lnt_str
lnt_str_trim(struct lnt_str s)
{
    while (s.n && (s.p[0] == ' ' || s.p[0] == '\t')) {
        s.p++;
        s.n--;
    }
    while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

const char *
lnt_str_nearest(const char *word, const char *const *candidates)
{
    size_t n = strlen(word);
    const char *best = NULL;
    unsigned best_distance = 0;

    if (n == 0 || n > WORD_MAX)
        return NULL;
    for (; *candidates; candidates++) {
        size_t m = strlen(*candidates);
        /* One slip in a short word, one more every three letters: beyond
           that it is another word. */
        unsigned limit = (unsigned)(n > m ? n : m) / 3;

        if (m == 0 || m > WORD_MAX)
            continue;
        unsigned d = distance(word, n, *candidates, m);
        if (d <= (limit ? limit : 1) && d < m && (!best || d < best_distance)) {
            best = *candidates;
            best_distance = d;
        }
    }
    return best;
}

static inline unsigned
min(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

static inline char
fold(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c == '-' ? '_' : c;
}

/*
 * Letters to insert, delete, replace or swap with their neighbour (optimal
 * string alignment).  Case and "-" for "_" count as no slip at all.
 */
static unsigned
distance(const char *a, size_t na, const char *b, size_t nb)
{
    unsigned rows[3][WORD_MAX + 1];
    unsigned *before = rows[0], *last = rows[1], *now = rows[2];

    for (size_t j = 0; j <= nb; j++)
        last[j] = (unsigned)j;
    for (size_t i = 1; i <= na; i++) {
        now[0] = (unsigned)i;
        for (size_t j = 1; j <= nb; j++) {
            char x = fold(a[i - 1]), y = fold(b[j - 1]);

            now[j] =
                min(min(last[j] + 1, now[j - 1] + 1), last[j - 1] + (x != y));
            if (i > 1 && j > 1 && x == fold(b[j - 2]) && fold(a[i - 2]) == y)
                now[j] = min(now[j], before[j - 2] + 1);
        }
        unsigned *t = before;
        before = last;
        last = now;
        now = t;
    }
    return last[nb];
}
