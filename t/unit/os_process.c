#include "os/process.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "os/fds.h"
#include "os/file.h"
#include "t/unit/tap.h"
#include "t/unit/tmp.h"

/* Runs fn in a child; what it returned, or -1 when it was killed. */
static int
in_child(int (*fn)(void))
{
    int status;

    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0)
        _exit(fn());
    while (waitpid(pid, &status, 0) < 0)
        ;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void
identities(void)
{
    struct lnt_identity id;
    const struct passwd *pw = getpwuid(getuid());
    const char *why;

    if (pw) {
        char *name = strdup(pw->pw_name);
        gid_t gid = pw->pw_gid;
        is_int(lnt_process_identity(name, NULL, 30000, &id, &why), 0,
               "this user is found");
        ok(id.uid == getuid() && id.gid == gid, "... by number");
        bool in = false;
        for (size_t i = 0; i < id.ngroups; i++)
            in |= id.groups[i] == gid;
        ok(in, "... with the groups");
        lnt_identity_release(&id);
        is_int(lnt_process_identity(name, "no-such-group-here", 30000, &id,
                                    &why),
               -1, "a group that is not there");
        is_str(why, "there is no such group", "... is named");
        free(name);
    }
    is_int(lnt_process_identity("no-such-user-here", NULL, 30000, &id, &why),
           -1, "a user who is not there");
    is_str(why, "there is no such user", "... is named");
    is_int(lnt_process_identity("root", NULL, 0, &id, &why), -1,
           "no time to wait");
    ok(!why && errno == ETIMEDOUT, "... is told apart");
    while (waitpid(-1, NULL, 0) > 0)
        ; /* it is left to who reaps all children */
}

/* Only modes count: nobody has to be root for it. */
static void
barriers(void)
{
    static gid_t groups[] = {0};
    struct lnt_barrier b;
    char top[] = "/tmp/linnet-barrier-XXXXXX", path[64], link_path[64];

    groups[0] = getgid();
    struct lnt_identity stranger = {getuid() + 1, getgid() + 1, NULL, 0};
    struct lnt_identity member = {getuid() + 1, getgid() + 1, groups, 1};
    struct lnt_identity owner = {getuid() ? getuid() : 1, getgid() + 1, NULL,
                                 0};
    struct lnt_identity root = {0, 0, NULL, 0};
    if (!mkdtemp(top))
        return;
    snprintf(path, sizeof(path), "%s/www", top);
    snprintf(link_path, sizeof(link_path), "%s.link", top);
    (void)mkdir(path, 0700);
    (void)chmod(path, 0755);
    (void)chmod(top, 0700);
    is_int(lnt_process_barrier(&stranger, path, X_OK, &b), 1,
           "a closed folder on the way");
    is_str(b.path, top, "... is named");
    is_int((long)b.mode, 0700, "... with its mode");
    is_int(lnt_process_barrier(&root, path, X_OK, &b), 0, "not for root");
    if (getuid())
        is_int(lnt_process_barrier(&owner, path, X_OK, &b), 0,
               "not for its owner");
    (void)chmod(top, 0710);
    is_int(lnt_process_barrier(&member, path, X_OK, &b), 0,
           "open for a group of the user");
    is_int(lnt_process_barrier(&stranger, path, X_OK, &b), 1,
           "... not for others");
    (void)chmod(top, 0701);
    is_int(lnt_process_barrier(&member, path, X_OK, &b), 1,
           "the group's bits count for a member, not those for others");
    is_int(lnt_process_barrier(&stranger, path, X_OK, &b), 0,
           "... which count for others");
    is_int(lnt_process_barrier(&stranger, path, W_OK, &b), 1,
           "it cannot be written to");
    is_str(b.path, path, "... which is the end of the path");
    (void)chmod(top, 0700);
    if (symlink(path, link_path) == 0) {
        is_int(lnt_process_barrier(&stranger, link_path, X_OK, &b), 1,
               "a link into a closed folder");
        (void)unlink(link_path);
    }
    (void)rmdir(path);
    is_int(lnt_process_barrier(&stranger, "www", X_OK, &b), -1,
           "a relative path is refused");
    (void)chmod(top, 0700);
    (void)rmdir(top);
}

static int
signals_child(void)
{
    static const int wanted[] = {SIGHUP, SIGTERM, SIGCHLD};
    pid_t sender = 0;
    int fd = lnt_signals_open(wanted, 3);
    struct pollfd p = {.fd = fd, .events = POLLIN};

    if (fd < 0 || !(fcntl(fd, F_GETFD) & FD_CLOEXEC))
        return 1;
    if (lnt_signals_read(fd, &sender) != 0)
        return 2;
    kill(getpid(), SIGTERM);
    kill(getpid(), SIGTERM);
    if (poll(&p, 1, 5000) != 1)
        return 3;
    if (lnt_signals_read(fd, &sender) != SIGTERM || sender != getpid())
        return 4;
    if (lnt_signals_read(fd, NULL) != 0)
        return 5;
    kill(getpid(), SIGHUP);
    if (lnt_signals_read(fd, NULL) != SIGHUP)
        return 6;
    if (lnt_signals_read(-1, NULL) != -1 || errno != EBADF)
        return 7;
    static const int bad[] = {999};
    if (lnt_signals_open(bad, 1) != -1)
        return 8;
    /* ready for an exec: nothing blocked, nothing ignored */
    lnt_signals_ignore();
    lnt_signals_reset();
    sigset_t set;
    sigprocmask(SIG_SETMASK, NULL, &set);
    struct sigaction action;
    sigaction(SIGPIPE, NULL, &action);
    if (sigismember(&set, SIGTERM) || action.sa_handler != SIG_DFL)
        return 9;
    lnt_signals_ignore();
    int pair[2];
    if (pipe(pair) < 0)
        return 10;
    close(pair[0]);
    if (write(pair[1], "x", 1) != -1 || errno != EPIPE)
        return 11;
    return 0;
}

/* Whether each of the harmless signals is survived. */
static bool
survives(void)
{
    static const int harmless[] = {SIGPIPE, SIGXFSZ,   SIGXCPU, SIGALRM,
                                   SIGPROF, SIGVTALRM, SIGIO,   SIGPWR,
                                   SIGUSR1, SIGUSR2};

    for (size_t i = 0; i < sizeof(harmless) / sizeof(harmless[0]); i++)
        if (raise(harmless[i]) != 0)
            return false;
    for (int s = SIGRTMIN; s <= SIGRTMAX; s++)
        if (raise(s) != 0)
            return false;
    return true;
}

static int
harmless_child(void)
{
    static const int wanted[] = {SIGTERM, SIGUSR1};
    struct rlimit limit = {.rlim_cur = 1, .rlim_max = 1};

    lnt_signals_ignore();
    if (!survives())
        return 1;
    lnt_signals_forked();
    if (!survives())
        return 2;
    /* Ignored, but for those that are waited for. */
    int fd = lnt_signals_open(wanted, 2);
    if (!survives() || lnt_signals_read(fd, NULL) != SIGUSR1 ||
        lnt_signals_read(fd, NULL) != 0)
        return 3;
    fd = open(tmp_path("limited"), O_WRONLY | O_CREAT, 0600);
    if (fd < 0 || setrlimit(RLIMIT_FSIZE, &limit) < 0)
        return 4;
    if (write(fd, "ab", 2) != 1 || write(fd, "c", 1) != -1 || errno != EFBIG)
        return 5;
    /* What was blocked by whoever started us is not. */
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGQUIT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    if (lnt_signals_open(wanted, 2) < 0)
        return 6;
    sigprocmask(SIG_SETMASK, NULL, &set);
    return sigismember(&set, SIGQUIT) || !sigismember(&set, SIGTERM) ? 7 : 0;
}

static int
forked_child(void)
{
    static const int wanted[] = {SIGTERM};
    struct sigaction action;
    sigset_t set;

    if (lnt_signals_open(wanted, 1) < 0)
        return 1;
    lnt_signals_forked();
    sigprocmask(SIG_SETMASK, NULL, &set);
    if (!sigismember(&set, SIGTERM))
        return 2;
    sigaction(SIGSEGV, NULL, &action);
    return action.sa_handler == SIG_DFL ? 0 : 3;
}

static int closed; /* a bit for each */

static int
standard_child(void)
{
    struct stat st, null;
    int which;

    if (stat("/dev/null", &null) < 0)
        return 1;
    for (int fd = 0; fd < 3; fd++)
        if (closed >> fd & 1)
            close(fd);
    if (lnt_fds_standard(&which) < 0)
        return 2;
    for (int fd = 0; fd < 3; fd++) {
        int mode = fcntl(fd, F_GETFL);

        if (mode < 0 || (fcntl(fd, F_GETFD) & FD_CLOEXEC))
            return 3;
        if (!(closed >> fd & 1))
            continue;
        if (fstat(fd, &st) < 0 || st.st_rdev != null.st_rdev ||
            (mode & O_ACCMODE) != (fd == 0 ? O_RDONLY : O_WRONLY))
            return 4;
    }
    return 0;
}

static void
standard(void)
{
    for (closed = 0; closed < 8; closed++)
        is_int(in_child(standard_child), 0,
               "standard descriptors, closed: %d%d%d", closed & 1,
               closed >> 1 & 1, closed >> 2);
}

static void
living(void)
{
    int end[2];

    ok(lnt_process_alive(getpid()), "we are alive");
    if (pipe(end) < 0)
        return;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        char byte;

        close(end[1]);
        _exit(read(end[0], &byte, 1) < 0);
    }
    close(end[0]);
    ok(lnt_process_alive(pid), "so is a child");
    int fd = lnt_process_watch(pid);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    ok(fd < 0 || poll(&p, 1, 0) == 0, "it runs");
    close(end[1]);
    siginfo_t info;
    while (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) < 0)
        ;
    ok(fd < 0 || poll(&p, 1, 5000) == 1, "its end is an event");
    ok(fd < 0 || !lnt_process_alive(pid), "not reaped, it is not alive");
    while (waitpid(pid, NULL, 0) < 0)
        ;
    ok(!lnt_process_alive(pid), "nor afterwards");
    if (fd >= 0)
        close(fd);
}

static int daemon_status, daemon_silent;
static char daemon_file[PATH_MAX];

static int
daemon_child(void)
{
    if (lnt_daemon_detach() < 0)
        return 99;
    FILE *f = fopen(daemon_file, "w");
    struct stat in, out, null;
    fstat(0, &in);
    fstat(1, &out);
    stat("/dev/null", &null);
    fprintf(f, "%d %d %d", getsid(0) == getpid(), in.st_rdev == null.st_rdev,
            out.st_rdev == null.st_rdev);
    fclose(f);
    if (daemon_silent)
        _exit(7);
    lnt_daemon_ready(daemon_status);
    lnt_daemon_ready(0); /* the second time nothing happens */
    struct stat err;
    fstat(2, &err);
    _exit(err.st_rdev == null.st_rdev ? 0 : 1);
}

static void
daemons(void)
{
    snprintf(daemon_file, sizeof(daemon_file), "%s", tmp_path("daemon"));
    lnt_daemon_ready(3);
    pass("ready without having been detached");
    is_int(in_child(daemon_child), 0, "the parent ends with the status");
    char *text = tmp_read(daemon_file);
    is_str(text, "1 1 1", "a session of its own, stdin and stdout to null");
    free(text);
    daemon_status = 42;
    is_int(in_child(daemon_child), 42, "whatever it is");
    daemon_silent = 1;
    is_int(in_child(daemon_child), 1, "1 when the child ends silently");
}

static int
drop_child(void)
{
    const char *why = NULL;
    gid_t groups[64];

    if (lnt_process_drop("nobody", NULL, &why) < 0)
        return 1;
    struct passwd *pw = getpwnam("nobody");
    uid_t r, e, s;
    getresuid(&r, &e, &s);
    if (r != pw->pw_uid || e != r || s != r || getegid() != pw->pw_gid)
        return 2;
    int n = getgroups(64, groups);
    for (int i = 0; i < n; i++) {
        if (groups[i] == 0)
            return 3;
    }
    if (prctl(PR_GET_DUMPABLE) != 0)
        return 4;
    if (lnt_process_dumpable() < 0 || prctl(PR_GET_DUMPABLE) != 1)
        return 5;
    if (lnt_process_drop("nobody", NULL, &why) == 0 || errno != EPERM)
        return 6;
    return 0;
}

static void
users(void)
{
    uid_t uid = 99;
    gid_t gid = 99;
    const char *why = NULL;

    is_int(lnt_process_user("root", NULL, &uid, &gid, &why), 0, "root");
    ok(uid == 0 && gid == 0, "is 0");
    struct group *gr = getgrnam("daemon");
    if (gr) {
        is_int(lnt_process_user("root", "daemon", &uid, &gid, &why), 0,
               "with another group");
        is_int(gid, gr->gr_gid, "its number");
    }
    is_int(lnt_process_user("no-such-user", NULL, &uid, &gid, &why), -1,
           "an unknown user");
    is_str(why, "there is no such user", "told");
    is_int(lnt_process_user("root", "no-such-group", &uid, &gid, &why), -1,
           "an unknown group");
    is_str(why, "there is no such group", "told");
    if (geteuid() == 0 && getpwnam("nobody")) {
        is_int(lnt_process_drop("no-such-user", NULL, &why), -1,
               "nothing is dropped for an unknown user");
        is_int(geteuid(), 0, "still root");
        is_int(in_child(drop_child), 0, "privileges dropped, for good");
    } else {
        skip(3, "only root can become another user");
    }
}

static int
limits_child(void)
{
    struct rlimit lim;

    getrlimit(RLIMIT_NOFILE, &lim);
    lim.rlim_cur = 100;
    setrlimit(RLIMIT_NOFILE, &lim);
    if (lnt_process_nofile(200) != 200)
        return 1;
    if (lnt_process_nofile(50) != 50) /* down, too */
        return 2;
    if (lnt_process_nofile(UINT64_MAX / 2) < 200)
        return 3;
    getrlimit(RLIMIT_NOFILE, &lim);
    if (lnt_process_nofile(0) != lim.rlim_cur)
        return 4;
    unsigned cpus = lnt_process_cpus();
    if (cpus < 1)
        return 7;
    if (lnt_process_pin(cpus + 1) < 0) /* round and round */
        return 8;
    if (lnt_process_cpus() != 1)
        return 9;
    return lnt_process_pin(0) == 0 ? 0 : 10;
}

static void
resources(void)
{
    is_int(in_child(limits_child), 0, "limits and processors");
    uint64_t before = lnt_process_rss(getpid());
    ok(before > 100 * 1024, "our memory: %llu", (unsigned long long)before);
    char *memory = malloc(32 << 20);
    volatile char *much = memory; /* or it would become a calloc */
    for (size_t i = 0; i < 32 << 20; i += 1024)
        much[i] = 1;
    uint64_t after = lnt_process_rss(getpid());
    ok(after > before + (30 << 20) && much[1024] == 1, "grows by what we use");
    free(memory);
    is_int(lnt_process_rss(0x3fffffff), 0, "nobody's memory");
}

static char *
cmdline(void)
{
    char *text = calloc(1, 4096);
    int fd = open("/proc/self/cmdline", O_RDONLY);

    if (read(fd, text, 4095) < 0)
        text[0] = '\0';
    close(fd);
    return text;
}

static void
titles(int argc, char **argv)
{
    char *text;
    char longest[2000];

    lnt_title_set("before init: nothing happens");
    text = cmdline();
    ok(strstr(text, "before") == NULL, "no title before init");
    free(text);
    setenv("LINNET_TITLE_TEST", "kept", 1);
    lnt_title_init(argc, argv);
    lnt_title_init(argc, argv);
    lnt_title_set("linnet: worker %d", 3);
    text = cmdline();
    is_str(text, "linnet: worker 3", "a title");
    free(text);
    lnt_title_set("x");
    text = cmdline();
    is_str(text, "x", "a shorter one leaves nothing behind");
    free(text);
    memset(longest, 'y', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    lnt_title_set("%s", longest);
    text = cmdline();
    size_t n = strspn(text, "y");
    ok(n > 1 && text[n] == '\0', "a long one is cut: %zu", n);
    free(text);
    is_str(getenv("LINNET_TITLE_TEST"), "kept", "the environment is");
    ok(getenv("PATH") && getenv("PATH")[0] != 'y', "all of it");
}

static char pidfile[PATH_MAX];

static int
second_child(void)
{
    pid_t other = 0;
    int fd = lnt_pidfile_open(pidfile, &other);

    return fd == -1 && errno == EWOULDBLOCK && other == getppid() ? 0 : 1;
}

static void
pidfiles(void)
{
    char wanted[32];
    pid_t other = 99;
    char *text;

    snprintf(pidfile, sizeof(pidfile), "%s", tmp_path("linnet.pid"));
    snprintf(wanted, sizeof(wanted), "%d\n", (int)getpid());
    int fd = lnt_pidfile_open(pidfile, &other);
    ok(fd >= 0 && (fcntl(fd, F_GETFD) & FD_CLOEXEC), "opened");
    text = tmp_read(pidfile);
    is_str(text, wanted, "our pid in it");
    free(text);
    is_int(in_child(second_child), 0, "another process is told who has it");
    text = tmp_read(pidfile);
    is_str(text, wanted, "and has changed nothing");
    free(text);
    lnt_pidfile_close(fd, pidfile);
    ok(access(pidfile, F_OK) < 0, "gone");

    tmp_write("linnet.pid", "999999\n", 7);
    fd = lnt_pidfile_open(pidfile, &other);
    text = tmp_read(pidfile);
    ok(fd >= 0, "a stale one is taken over");
    is_str(text, wanted, "with our pid");
    free(text);
    tmp_write("other", "1\n", 2);
    rename(tmp_path("other"), pidfile);
    lnt_pidfile_close(fd, pidfile);
    ok(access(pidfile, F_OK) == 0, "one that is not ours any more stays");
    unlink(pidfile);

    mkdir(pidfile, 0755);
    ok(lnt_pidfile_open(pidfile, &other) < 0 && errno == EISDIR, "a folder");
    rmdir(pidfile);
    ok(lnt_pidfile_open("/no/such/folder/x", &other) < 0 && errno == ENOENT,
       "no folder for it");
    lnt_pidfile_close(-1, pidfile);
    ok(symlink("/etc/passwd", pidfile) == 0 &&
           lnt_pidfile_open(pidfile, &other) < 0 && errno == ELOOP,
       "a link is not followed");
    unlink(pidfile);
}

/* Takes the pidfile, or not, and says so in a byte. */
static int
racer_child(int go, int out)
{
    pid_t other;
    char byte;

    if (read(go, &byte, 1) < 0)
        return 1;
    for (int i = 0; i < 50; i++) {
        int fd = lnt_pidfile_open(pidfile, &other);

        if (fd < 0) {
            if (errno != EWOULDBLOCK)
                return 2;
            continue;
        }
        /* alone: nobody else may say that he has it now */
        if (flock(out, LOCK_EX | LOCK_NB) < 0)
            return 3;
        char *text = tmp_read(pidfile);
        if (atoi(text) != getpid())
            return 4;
        free(text);
        flock(out, LOCK_UN);
        if (i % 3 == 0)
            lnt_pidfile_close(fd, pidfile);
        else
            close(fd); /* as if killed: the file stays behind */
    }
    return 0;
}

static void
pidfile_race(void)
{
    enum { RACERS = 6 };
    int go[2], good = 0;
    const char *lock = tmp_write("lock", "", 0);

    if (pipe(go) < 0)
        return;
    fflush(NULL);
    for (int i = 0; i < RACERS; i++) {
        if (fork() == 0) {
            close(go[1]);
            _exit(racer_child(go[0], open(lock, O_RDWR)));
        }
    }
    close(go[0]);
    close(go[1]); /* all start */
    for (int i = 0; i < RACERS; i++) {
        int status;

        wait(&status);
        if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
            good++;
        else
            diag("a racer ended with %x", (unsigned)status);
    }
    is_int(good, RACERS, "of many at once one has it, and reads its own pid");
    unlink(pidfile);
}

static char folder[PATH_MAX];

static int
other_child(void)
{
    return lnt_dirlock_open(folder) == -1 && errno == EWOULDBLOCK ? 0 : 1;
}

static void
folders(void)
{
    char moved[PATH_MAX];
    pid_t other = 0;

    snprintf(folder, sizeof(folder), "%s", tmp_path("run"));
    snprintf(moved, sizeof(moved), "%s", tmp_path("moved"));
    ok(lnt_dirlock_open(folder) < 0 && errno == ENOENT, "no folder");
    if (mkdir(folder, 0700) < 0)
        return;
    int fd = lnt_dirlock_open(folder);
    ok(fd >= 0 && (fcntl(fd, F_GETFD) & FD_CLOEXEC), "a folder is locked");
    is_int(in_child(other_child), 0, "nobody else can");
    ok(lnt_dirlock_is(fd, folder), "it is that folder");
    int copy = dup(fd);
    ok(lnt_dirlock_take(copy, folder) == 0 &&
           (fcntl(copy, F_GETFD) & FD_CLOEXEC),
       "a copy is taken over");
    lnt_dirlock_close(fd, false);
    is_int(in_child(other_child), 0, "and keeps it locked");
    rename(folder, moved);
    ok(!lnt_dirlock_is(copy, folder), "another name");
    ok(lnt_dirlock_take(copy, folder) < 0 && errno == ESTALE, "is not taken");
    if (mkdir(folder, 0700) < 0)
        return;
    ok(!lnt_dirlock_is(copy, folder), "another folder of that name");
    fd = dup(copy);
    lnt_dirlock_close(copy, true);
    copy = lnt_dirlock_open(moved);
    ok(copy >= 0, "unlocked, although there is a copy");
    lnt_dirlock_close(copy, false);
    lnt_dirlock_close(fd, false);
    lnt_dirlock_close(-1, true);
    ok(lnt_dirlock_holder(folder, "no such title") == 0, "no holder");

    snprintf(pidfile, sizeof(pidfile), "%s", tmp_path("again.pid"));
    fd = lnt_pidfile_open(pidfile, &other);
    is_int(lnt_pidfile_restore(&fd, pidfile, &other), 0, "a pidfile is there");
    unlink(pidfile);
    is_int(lnt_pidfile_restore(&fd, pidfile, &other), 1, "and comes back");
    is_int(lnt_pidfile_restore(&fd, pidfile, &other), 0, "once");
    is_int(in_child(second_child), 0, "locked by us");
    lnt_pidfile_close(fd, pidfile);
    ok(access(pidfile, F_OK) < 0, "gone");
    rmdir(folder);
    rmdir(moved);
}

static void
notifying(void)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    char got[64], abstract[64];
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    unsetenv("NOTIFY_SOCKET");
    lnt_sd_notify("READY=1\n");
    pass("nobody to tell");
    snprintf(un.sun_path, sizeof(un.sun_path), "%s", tmp_path("n"));
    if (bind(fd, (struct sockaddr *)&un, sizeof(un)) < 0)
        fail("bind");
    setenv("NOTIFY_SOCKET", un.sun_path, 1);
    lnt_sd_notify("READY=1\n");
    is_int(recv(fd, got, sizeof(got), 0), 8, "told");
    is_mem(got, 8, "READY=1\n", 8, "as it is");
    close(fd);
    lnt_sd_notify("READY=1\n");
    pass("nobody there any more");

    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int n =
        snprintf(abstract, sizeof(abstract), "@linnet-unit-%d", (int)getpid());
    memset(un.sun_path, 0, sizeof(un.sun_path));
    memcpy(un.sun_path + 1, abstract + 1, (size_t)n - 1);
    if (bind(fd, (struct sockaddr *)&un,
             (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)n)) <
        0)
        fail("bind");
    setenv("NOTIFY_SOCKET", abstract, 1);
    lnt_sd_notify("STOPPING=1");
    is_int(recv(fd, got, sizeof(got), 0), 10, "in the abstract namespace");
    close(fd);
    setenv("NOTIFY_SOCKET", "relative", 1);
    lnt_sd_notify("x");
    setenv("NOTIFY_SOCKET", "", 1);
    lnt_sd_notify("x");
    pass("no address");
}

int
main(int argc, char **argv)
{
    is_int(in_child(signals_child), 0, "signals");
    is_int(in_child(harmless_child), 0, "harmless signals");
    is_int(in_child(forked_child), 0, "signals of a forked child");
    standard();
    living();
    daemons();
    users();
    identities();
    barriers();
    resources();
    pidfiles();
    pidfile_race();
    folders();
    notifying();
    titles(argc, argv);
    return done_testing();
}
