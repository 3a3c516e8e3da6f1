/* ssh-keygen reads the text from a file and writes the signature beside it, so that its standard
 * input stays the terminal, where it asks for passphrase and touch. The file may name persons: it
 * lies in a folder of its own that nobody else can enter, and goes when the signature is there. */
#include "cmd/signer.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "sign/sshsig.h"

extern char **environ;

enum { FOLDER_SIZE = 400, FILE_SIZE = FOLDER_SIZE + 20, AGENT_MAX = 65536 };

struct place {
    char folder[FOLDER_SIZE]; /* "": not made */
    char text[FILE_SIZE], signature[FILE_SIZE], key[FILE_SIZE];
};

/* ---- programs ------------------------------------------------------------------------------- */

/* Signals of the terminal are the program's alone meanwhile: we have files to remove. */
static const int held[] = { SIGINT, SIGQUIT, SIGHUP };

static int spawn(char *const argv[], int out, pid_t *ret)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t usual;
    (void)sigemptyset(&usual);
    for (size_t i = 0; i < RF_COUNT(held); i++)
        (void)sigaddset(&usual, held[i]);
    if (posix_spawn_file_actions_init(&actions) != 0)
        return ENOMEM;
    if (posix_spawnattr_init(&attributes) != 0) {
        (void)posix_spawn_file_actions_destroy(&actions);
        return ENOMEM;
    }
    int rc = out >= 0 ? posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO) : 0;
    rc = rc != 0 ? rc : posix_spawnattr_setsigdefault(&attributes, &usual);
    rc = rc != 0 ? rc : posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
    rc = rc != 0 ? rc : posix_spawnp(ret, argv[0], &actions, &attributes, argv, environ);
    (void)posix_spawnattr_destroy(&attributes);
    (void)posix_spawn_file_actions_destroy(&actions);
    return rc;
}

/* Run ARGV at our terminal; standard output goes to OUT when that is not negative. Its exit status,
   or a negative code. */
static int run_program(char *const argv[], int out, struct err *err)
{
    struct sigaction ignore = { .sa_handler = SIG_IGN }, before[RF_COUNT(held)];
    int status = 0;
    pid_t pid;
    for (size_t i = 0; i < RF_COUNT(held); i++)
        (void)sigaction(held[i], &ignore, &before[i]);
    int rc = spawn(argv, out, &pid);
    while (rc == 0 && waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            rc = errno;
    for (size_t i = 0; i < RF_COUNT(held); i++)
        (void)sigaction(held[i], &before[i], NULL);
    if (rc != 0) {
        errno = rc;
        rc = err_sys(err, "could not run %s", argv[0]);
        err_hint(err, "it comes with OpenSSH's client: install the package openssh-client");
        return rc;
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

/* posix_spawn() takes words that may be changed, and changes none. */
static char *word(const char *text)
{
    union {
        const char *in;
        char *out;
    } w = { .in = text };
    return w.out;
}

/* ---- the folder ----------------------------------------------------------------------------- */

static int write_file(const char *path, const void *bytes, size_t n, struct err *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_sys(err, "could not make file \"%s\"", path);
    int rc = fd_write_all(fd, bytes, n);
    if (rc < 0)
        rc = err_sys(err, "could not write file \"%s\"", path);
    fd_close(&fd);
    return rc;
}

static int place_make(struct place *p, struct err *err)
{
    static const char *const bases[] = { "XDG_RUNTIME_DIR", "TMPDIR" };
    const char *base = NULL;
    memset(p, 0, sizeof(*p));
    for (size_t i = 0; i < RF_COUNT(bases) && base == NULL; i++) {
        base = getenv(bases[i]);
        if (base != NULL &&
            (base[0] != '/' || strlen(base) > FOLDER_SIZE - 20 || access(base, W_OK | X_OK) < 0))
            base = NULL;
    }
    (void)snprintf(p->folder, sizeof(p->folder), "%s/ringfence-XXXXXX",
                   base != NULL ? base : "/tmp");
    if (mkdtemp(p->folder) == NULL) {
        int rc = err_sys(err, "could not make a folder \"%s\"", p->folder);
        p->folder[0] = '\0';
        return rc;
    }
    (void)snprintf(p->text, sizeof(p->text), "%s/text", p->folder);
    (void)snprintf(p->signature, sizeof(p->signature), "%s/text.sig", p->folder);
    (void)snprintf(p->key, sizeof(p->key), "%s/key.pub", p->folder);
    return 0;
}

static void place_remove(struct place *p)
{
    if (p->folder[0] == '\0')
        return;
    (void)unlink(p->text);
    (void)unlink(p->signature);
    (void)unlink(p->key);
    (void)rmdir(p->folder);
}

/* ---- which key ------------------------------------------------------------------------------ */

static bool is_there(const char *path)
{
    return access(path, R_OK) == 0;
}

/* A key below ~/.ssh, by its secret part or else by its public one. */
static bool find_at_home(char ret[PATH_MAX])
{
    static const char *const names[] = { "id_ed25519", "id_ecdsa", "id_ed25519_sk", "id_ecdsa_sk",
                                         "id_rsa" };
    const char *home = getenv("HOME");
    for (size_t i = 0; home != NULL && i < RF_COUNT(names); i++) {
        int n = snprintf(ret, PATH_MAX, "%s/.ssh/%s", home, names[i]);
        if (n > 0 && n < PATH_MAX && is_there(ret))
            return true;
        n = snprintf(ret, PATH_MAX, "%s/.ssh/%s.pub", home, names[i]);
        if (n > 0 && n < PATH_MAX && is_there(ret))
            return true;
    }
    return false;
}

static int no_key(struct err *err)
{
    int rc = err_set(err, RF_EUSAGE, "there is no SSH key to sign with");
    err_hint(err, "name its file with --identity FILE, or add it to the SSH agent");
    return rc;
}

/* The only key of the agent, put into P's file. */
static int take_from_agent(struct place *p, struct err *err)
{
    char *const argv[] = { word("ssh-add"), word("-L"), NULL };
    char path[FILE_SIZE], *list = NULL;
    size_t n = 0;
    const char *socket = getenv("SSH_AUTH_SOCK");
    if (socket == NULL || socket[0] == '\0')
        return no_key(err);
    (void)snprintf(path, sizeof(path), "%s/text.sig", p->folder); /* nothing else is there yet */
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_sys(err, "could not make file \"%s\"", path);
    int rc = run_program(argv, fd, err);
    fd_close(&fd);
    if (rc >= 0)
        rc = rc != 0 ? no_key(err) : fd_read_file(path, AGENT_MAX, &list, &n, err);
    (void)unlink(path);
    if (rc == 0 && memchr(list, '\n', n) != list + n - 1) {
        rc = err_set(err, RF_EUSAGE, "the SSH agent holds several keys");
        err_hint(err, "name the file of the public part of one with --identity FILE");
    }
    if (rc == 0)
        rc = write_file(p->key, list, n, err);
    mem_free(list);
    return rc;
}

/* *RET borrows from IDENTITY, P or FOUND. */
static int choose_key(const char *identity, struct place *p, char found[PATH_MAX], const char **ret,
                      struct err *err)
{
    if (identity != NULL) {
        *ret = identity;
        return is_there(identity)
                   ? 0
                   : err_sys(err, "could not read identity file \"%.200s\"", identity);
    }
    if (find_at_home(found)) {
        *ret = found;
        return 0;
    }
    *ret = p->key;
    return take_from_agent(p, err);
}

/* ---- signing -------------------------------------------------------------------------------- */

static int run_ssh_keygen(const char *key, const char *name_space, const struct place *p,
                          struct err *err)
{
    char *const argv[] = { word("ssh-keygen"), word("-q"), word("-Y"), word("sign"),
                           word("-f"),         word(key),  word("-n"), word(name_space),
                           word(p->text),      NULL };
    int rc = run_program(argv, -1, err);
    if (rc <= 0)
        return rc;
    rc = err_set(err, RF_EAUTH, "ssh-keygen did not sign with the key \"%.200s\"", key);
    err_hint(err, "what it said stands above; another key is named with --identity FILE");
    return rc;
}

/* What nobody would accept is told here, before it is sent. */
static int check(const struct buf *signature, const char *name_space, const void *text, size_t n,
                 struct ssh_key *ret, struct err *err)
{
    struct err why;
    int rc = sshsig_verify((const char *)signature->data + signature->off, buf_len(signature),
                           name_space, text, n, ret, &why);
    if (rc == 0)
        return 0;
    return err_set(err, rc == -RF_ENOMEM ? RF_ENOMEM : RF_EUSAGE,
                   "the key's signatures are not accepted: %.300s", why.line);
}

int signer_sign(const char *identity, const char *name_space, const void *text, size_t n,
                struct buf *to, struct ssh_key *ret_key, struct err *err)
{
    struct place p;
    char found[PATH_MAX], *signature = NULL;
    const char *key = NULL;
    size_t len = 0;
    int rc = place_make(&p, err);
    if (rc == 0)
        rc = choose_key(identity, &p, found, &key, err);
    if (rc == 0)
        rc = write_file(p.text, text, n, err);
    if (rc == 0)
        rc = run_ssh_keygen(key, name_space, &p, err);
    if (rc == 0)
        rc = fd_read_file(p.signature, SSHSIG_MAX, &signature, &len, err);
    place_remove(&p);
    if (rc == 0 && (rc = buf_append(to, signature, len)) < 0)
        rc = err_set(err, RF_ENOMEM, "out of memory for a signature");
    if (rc == 0)
        rc = check(to, name_space, text, n, ret_key, err);
    mem_free(signature);
    return rc;
}
