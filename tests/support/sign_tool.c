/* sign_tool.c - src/sign at the command line: `sign_tool NAMESPACE MESSAGEFILE` reads signatures
 * from standard input, each a u32 length and that many bytes of armor, and answers each with one
 * line: `ok FINGERPRINT`, `malformed REASON` or `of-something-else REASON`. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/digest.h"
#include "sign/sshsig.h"

enum { MESSAGE_MAX = 65536, ARMOR_MAX = 1 << 20 };

static void answer(const char *name_space, const char *message, size_t message_len,
                   const char *armored, size_t len)
{
    struct ssh_key key;
    struct err err = { 0 };
    char print[SSH_KEY_FINGERPRINT_SIZE];
    int rc = sshsig_verify(armored, len, name_space, message, message_len, &key, &err);
    if (rc == 0) {
        ssh_key_fingerprint(&key, print);
        (void)printf("ok %s\n", print);
    } else {
        (void)printf("%s %s\n", rc == -RF_EAUTH ? "of-something-else" : "malformed", err.line);
    }
}

int main(int argc, char **argv)
{
    static char message[MESSAGE_MAX];
    uint8_t word[4];
    struct err err;
    FILE *from = argc == 3 ? fopen(argv[2], "r") : NULL;
    if (from == NULL || digest_init(&err) < 0) {
        (void)fputs("usage: sign_tool NAMESPACE MESSAGEFILE\n", stderr);
        return 2;
    }
    size_t message_len = fread(message, 1, sizeof(message), from);
    (void)fclose(from);
    while (fread(word, 1, sizeof(word), stdin) == sizeof(word)) {
        size_t len = (size_t)word[0] << 24 | (size_t)word[1] << 16 | (size_t)word[2] << 8 | word[3];
        /* ends where it ends, so that a sanitizer sees a reader that leaves it */
        char *armored = len <= ARMOR_MAX ? malloc(len > 0 ? len : 1) : NULL;
        if (armored == NULL || fread(armored, 1, len, stdin) != len)
            return 3;
        answer(argv[1], message, message_len, armored, len);
        free(armored);
    }
    return 0;
}
