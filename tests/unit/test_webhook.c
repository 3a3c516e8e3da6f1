#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <sys/socket.h>

#include "base/digest.h"
#include "base/fd.h"
#include "herald/box.h"
#include "herald/order.h"
#include "herald/webhook.h"

/* The example of the Standard Webhooks specification. */
static const char secret[] = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

static struct webhook_key key_of(const char *text)
{
    struct webhook_key key;
    struct err err;
    assert_int_equal(webhook_key_parse(text, strlen(text), &key, &err), 0);
    return key;
}

static void a_post_is_signed_as_the_specification_says(void **state)
{
    struct webhook_key key = key_of(secret);
    char signature[WEBHOOK_SIGNATURE_SIZE];
    struct err err;
    (void)state;
    assert_int_equal(key.len, 24);
    assert_int_equal(webhook_sign(&key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330,
                                  "{\"test\": 2432232314}", signature, &err),
                     0);
    assert_string_equal(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    assert_int_equal(webhook_sign(&key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265331,
                                  "{\"test\": 2432232314}", signature, &err),
                     0);
    assert_string_not_equal(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
}

static void what_is_no_secret_is_refused(void **state)
{
    static const char *const texts[] = {
        "",
        "whsec_",
        "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa==",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\nmore",
        " whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    };
    (void)state;
    for (size_t i = 0; i < RF_COUNT(texts); i++) {
        struct webhook_key key;
        struct err err;
        if (webhook_key_parse(texts[i], strlen(texts[i]), &key, &err) != -RF_ECONFIG)
            fail_msg("accepted: \"%s\"", texts[i]);
        assert_null(strstr(err.line, "MfKQ")); /* a secret is not repeated */
    }
    assert_int_equal(key_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw \r\n\n").len, 24);
}

static void an_order_arrives_whole_and_a_malformed_one_does_not(void **state)
{
    static const char body[] = "{\"type\" : \"notice\"}";
    struct order o = { .ticket = UINT64_MAX,
                       .hook = 3,
                       .kind = "broken_glass",
                       .body = body,
                       .body_len = sizeof(body) - 1 };
    const struct order_answer said = { .ticket = 7, .result = ORDER_FAILED, .status = 3 };
    struct order_answer answer;
    struct order heard;
    struct buf b;
    int fds[2];
    (void)state;
    buf_init(&b, ORDER_PACKET_MAX);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
    assert_int_equal(order_receive(fds[1], &b, &heard), 0);
    assert_int_equal(order_send(fds[0], &o), 0);
    assert_int_equal(order_receive(fds[1], &b, &heard), 1);
    assert_true(heard.ticket == UINT64_MAX && heard.hook == 3 && heard.body_len == o.body_len);
    assert_string_equal(heard.kind, "broken_glass");
    assert_memory_equal(heard.body, body, o.body_len);
    assert_int_equal(order_answer_send(fds[1], &said), 0);
    assert_int_equal(order_answer_receive(fds[0], &answer), 1);
    assert_true(answer.ticket == 7 && answer.result == ORDER_FAILED && answer.status == 3);
    (void)strcpy(o.kind, "A=B"); /* it becomes a variable of an environment */
    assert_int_equal(order_send(fds[0], &o), 0);
    assert_int_equal(order_receive(fds[1], &b, &heard), -RF_EPROTO);
    o.body_len = ORDER_BODY_MAX + 1;
    assert_int_equal(order_send(fds[0], &o), -RF_ETOOBIG);
    assert_int_equal(send(fds[0], "x", 1, 0), 1);
    assert_int_equal(order_receive(fds[1], &b, &heard), -RF_EPROTO);
    assert_int_equal(send(fds[1], "0123456789", 10, 0), 10);
    assert_int_equal(order_answer_receive(fds[0], &answer), -RF_EPROTO); /* no such result */
    fd_close(&fds[0]);
    assert_int_equal(order_receive(fds[1], &b, &heard), -RF_EUNAVAIL);
    fd_close(&fds[1]);
    buf_done(&b);
}

static void a_hook_has_its_name_of_where_it_leads(void **state)
{
    char path[] = "/bin/mail", one[] = "a b", two[] = "a", three[] = "b",
         url[] = "https://a.example/x";
    char *words[][3] = { { path, one, NULL }, { path, two, three }, { path, NULL, NULL } };
    const struct config_hook hooks[] = {
        { .url = url },
        { .command = words[0], .command_count = 2 },
        { .command = words[1], .command_count = 3 },
        { .command = words[2], .command_count = 1 },
    };
    const struct config_hook again = { .url = url, .events = 1, .key_path = path };
    char names[RF_COUNT(hooks)][BOX_HOOK_SIZE], other[BOX_HOOK_SIZE];
    struct err err;
    (void)state;
    assert_int_equal(digest_init(&err), 0);
    for (size_t i = 0; i < RF_COUNT(hooks); i++) {
        box_hook_name(&hooks[i], names[i]);
        assert_int_equal(strlen(names[i]), BOX_HOOK_SIZE - 1);
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(names[i], names[k]);
    }
    box_hook_name(&again, other);
    assert_string_equal(other, names[0]); /* of another gateway, with another key */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_post_is_signed_as_the_specification_says),
        cmocka_unit_test(what_is_no_secret_is_refused),
        cmocka_unit_test(an_order_arrives_whole_and_a_malformed_one_does_not),
        cmocka_unit_test(a_hook_has_its_name_of_where_it_leads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
