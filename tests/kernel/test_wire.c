/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Signatures, replays, and messages over a socket: what is right comes out as it went in, what is not is dropped,
   whatever the bytes are. */
#include "../../kernel/wire.h"

#include <stdlib.h>
#include <string.h>

#include "../../kernel/requests.h"
#include "../tap.h"

static const RequestType known = {.name = "execute_request", .reply = "execute_reply", .sockets = ON_SHELL};

const RequestType *request_type_find(const char *name)
{
    return strcmp(name, known.name) == 0 ? &known : NULL;
}

static const char key[] = "a-key";

/* RFC 4231, test case 2. */
static void test_signature(void)
{
    const void *part[4] = {"what do ", "ya want ", "for ", "nothing?"};
    const size_t length[4] = {8, 8, 4, 8};
    char hex[SIGNATURE_LENGTH + 1];
    Signer signer, none;
    tap_ok(signer_open(&signer, "Jefe") && signer_sign(&signer, part, length, hex) &&
               strcmp(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843") == 0,
           "HMAC-SHA256 of a published case");
    tap_ok(signer_sign(&signer, part, length, hex) && strncmp(hex, "5bdcc146", 8) == 0, "and again with the same signer");
    tap_ok(signer_open(&none, "") && signer_sign(&none, part, length, hex) && !*hex, "without a key the signature is empty");
    signer_close(&signer);
    signer_close(&none);
}

static void hex_of(unsigned long long value, char *hex)
{
    snprintf(hex, SIGNATURE_LENGTH + 1, "%016llx%048d", value * 0x9E3779B97F4A7C15ull, 0);
}

static void test_replays(void)
{
    Replays replays;
    char hex[SIGNATURE_LENGTH + 1];
    bool fresh = replays_open(&replays), stale = true, forgotten = true;
    enum { MORE = 3 * REPLAY_MEMORY };
    for (unsigned i = 0; i < MORE; i++) {
        hex_of(i, hex);
        fresh &= replays_add(&replays, hex);
        if (i % 7 == 0) stale &= !replays_add(&replays, hex);
    }
    tap_ok(fresh && stale, "%d signatures: each is new once", MORE);
    for (unsigned i = MORE - REPLAY_MEMORY; i < MORE; i += 5) {
        hex_of(i, hex);
        stale &= !replays_add(&replays, hex);
    }
    tap_ok(stale && replays.count == REPLAY_MEMORY, "the last %d are remembered", REPLAY_MEMORY);
    for (unsigned i = 0; i < 1000; i++) {
        hex_of(i, hex);
        forgotten &= replays_add(&replays, hex);
    }
    tap_ok(forgotten, "earlier ones are not, which bounds the memory");
    replays_close(&replays);
}

/* ---- messages ---- */

static void *context, *client, *server;
static Wire wire;
static Signer signer;

static void open_pair(void)
{
    context = zmq_ctx_new();
    client = zmq_socket(context, ZMQ_DEALER);
    server = zmq_socket(context, ZMQ_ROUTER);
    zmq_bind(server, "inproc://test");
    zmq_connect(client, "inproc://test");
    signer_open(&signer, key);
    replays_open(&wire.replays);
}

static void close_pair(void)
{
    zmq_close(client);
    zmq_close(server);
    zmq_ctx_term(context);
    signer_close(&signer);
    replays_close(&wire.replays);
}

typedef struct Piece { const void *at; size_t length; } Piece;

static void send_pieces(const Piece *piece, int n)
{
    for (int i = 0; i < n; i++) zmq_send(client, piece[i].at, piece[i].length, i + 1 < n ? ZMQ_SNDMORE : 0);
}

/* A signed message with one buffer. */
static void send_message(const char *header, const char *content)
{
    char hex[SIGNATURE_LENGTH + 1];
    const void *part[4] = {header, "{}", "{}", content};
    const size_t length[4] = {strlen(header), 2, 2, strlen(content)};
    signer_sign(&signer, part, length, hex);
    send_pieces((Piece[]){{"<IDS|MSG>", 9}, {hex, strlen(hex)}, {header, length[0]}, {"{}", 2}, {"{}", 2},
                          {content, length[3]}, {"\0buffer", 7}}, 7);
}

static Request *receive(bool *dropped)
{
    return request_receive(server, SOCKET_SHELL, &wire, &signer, dropped);
}

static void test_message(void)
{
    bool dropped;
    size_t length;
    tap_ok(!receive(&dropped) && !dropped, "no message is no dropped one");
    send_message("{\"msg_type\":\"execute_request\",\"odd\":1}", "{\"code\":\"a\\u0000\\u00e4\",\"silent\":true}");
    Request *request = receive(&dropped);
    tap_ok(request && request->type == &known && !strcmp(request_text(request, "code"), "a") &&
               request_flag(request, "silent", false) && request_flag(request, "store", true), "a request, taken apart");
    tap_ok(request && request_n_buffers(request) == 1 && !memcmp(request_buffer(request, 0, &length), "\0buffer", 7) &&
               length == 7, "and its buffer");
    Outgoing *outgoing = outgoing_new(SOCKET_SHELL, "execute_reply", request, json_pack("{ss}", "status", "ok"));
    outgoing_send_take(outgoing, server, &wire, &signer);
    char frame[6][512] = {{0}};
    int n = 0, more = 1;
    for (size_t room = sizeof more; n < 6 && more; n++) {
        if (zmq_recv(client, frame[n], sizeof frame[n] - 1, 0) < 0) break;
        zmq_getsockopt(client, ZMQ_RCVMORE, &more, &room);
    }
    tap_ok(n == 6 && !strcmp(frame[0], "<IDS|MSG>") && !strcmp(frame[3], "{\"msg_type\":\"execute_request\",\"odd\":1}") &&
               !strcmp(frame[5], "{\"status\":\"ok\"}"), "the reply carries the request's header, to the byte");
    const void *part[4] = {frame[2], frame[3], frame[4], frame[5]};
    const size_t lengths[4] = {strlen(frame[2]), strlen(frame[3]), strlen(frame[4]), strlen(frame[5])};
    char hex[SIGNATURE_LENGTH + 1];
    signer_sign(&signer, part, lengths, hex);
    tap_ok(!strcmp(hex, frame[1]), "and is signed");
    request_release(request);
    send_message("{\"msg_type\":\"execute_request\",\"odd\":1}", "{\"code\":\"a\\u0000\\u00e4\",\"silent\":true}");
    request = receive(&dropped);
    tap_ok(!request && dropped && wire.dropped == 1, "the same once more is a replay");
    request_release(request);
}

static unsigned random_state = 1;

static unsigned next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    return random_state ^= random_state << 5;
}

/* Frames of a real message, damaged: cut, doubled, left out, flipped; half of them signed anew, so that the damage goes on
   to the parser. */
static void send_damaged(void)
{
    char text[4][160] = {"{\"msg_type\":\"execute_request\",\"msg_id\":\"1\"}", "{\"a\":[1,2,{}]}", "{}",
                         "{\"code\":\"1 + 1\",\"silent\":false,\"x\":[[[\"\\ud83d\\ude00\"]]]}"};
    size_t length[4];
    char hex[SIGNATURE_LENGTH + 1] = "";
    Piece piece[16];
    int n = 0;
    for (int i = 0; i < 4; i++) {
        length[i] = strlen(text[i]);
        if (next_random() % 3 == 0) length[i] = next_random() % (unsigned)(length[i] + 1);
        for (unsigned flips = next_random() % 3; flips > 0 && length[i] > 0; flips--)
            text[i][next_random() % (unsigned)length[i]] ^= (char)(1u << next_random() % 8);
    }
    const void *part[4] = {text[0], text[1], text[2], text[3]};
    if (next_random() % 2) signer_sign(&signer, part, length, hex);
    const Piece whole[] = {{"<IDS|MSG>", 9}, {hex, strlen(hex) - (next_random() % 8 == 0 && *hex)}, {text[0], length[0]},
                           {text[1], length[1]}, {text[2], length[2]}, {text[3], length[3]}};
    for (int i = 0; i < 6; i++)
        for (unsigned copies = next_random() % 12 ? 1 : next_random() % 3; copies > 0; copies--) piece[n++] = whole[i];
    if (n > 0) send_pieces(piece, n);
}

static void test_damaged(void)
{
    int taken = 0, thrown = 0;
    for (int i = 0; i < 20000; i++) {
        bool dropped = true;
        send_damaged();
        while (dropped) {
            Request *request = receive(&dropped);
            taken += request != NULL;
            thrown += dropped;
            request_release(request);
        }
    }
    tap_ok(taken > 100 && thrown > 10000, "%d damaged messages are dropped, %d were whole enough", thrown, taken);
    Piece many[5000];
    for (int i = 0; i < 5000; i++) many[i] = (Piece){"x", 1};
    bool dropped;
    send_pieces(many, 5000);
    Request *request = receive(&dropped);
    tap_ok(!request && dropped && !receive(&dropped) && !dropped, "a message of 5,000 frames is one message, dropped");
}

static void expect_text(const char *bytes, size_t length, const char *wanted)
{
    json_t *string = json_from_bytes(bytes, length);
    tap_ok(string && !strcmp(json_string_value(string), wanted), "as text: %s", wanted);
    json_decref(string);
}

int main(void)
{
    test_signature();
    test_replays();
    open_pair();
    test_message();
    test_damaged();
    close_pair();
    expect_text("\xc3\xa4 \xf0\x9f\x98\x80", 7, "ä 😀");
    expect_text("a\xffz", 3, "a\xEF\xBF\xBDz");
    expect_text("\xed\xa0\x80", 3, "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
    expect_text("\xc0\x80|\xe2\x82", 5, "\xEF\xBF\xBD\xEF\xBF\xBD|\xEF\xBF\xBD\xEF\xBF\xBD");
    return tap_end();
}
