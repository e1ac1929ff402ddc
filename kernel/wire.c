/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Frames, signatures and headers of messages (wire.h). */
#include "wire.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/params.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "requests.h"

static const char delimiter_text[] = "<IDS|MSG>";
enum { AFTER_DELIMITER = 6, MOST_FRAMES = 4096 };        /* delimiter, signature, header, parent, metadata, content */

/* ---- signatures ---- */

bool signer_open(Signer *signer, const char *key)
{
    *signer = (Signer){.keyed = *key != 0};
    if (!signer->keyed) return true;
    OSSL_PARAM parameters[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char[]){"SHA256"}, 0),
                               OSSL_PARAM_construct_end()};
    EVP_MAC *algorithm = EVP_MAC_fetch(NULL, "HMAC", NULL);
    signer->mac = algorithm ? EVP_MAC_CTX_new(algorithm) : NULL;
    EVP_MAC_free(algorithm);
    if (signer->mac && EVP_MAC_init(signer->mac, (const unsigned char *)key, strlen(key), parameters)) return true;
    signer_close(signer);
    return false;
}

void signer_close(Signer *signer)
{
    EVP_MAC_CTX_free(signer->mac);
    signer->mac = NULL;
}

bool signer_sign(const Signer *signer, const void *const part[4], const size_t length[4], char *hex)
{
    unsigned char digest[SIGNATURE_LENGTH / 2];
    size_t size;
    *hex = 0;
    if (!signer->keyed) return true;
    bool fine = signer->mac && EVP_MAC_init(signer->mac, NULL, 0, NULL); /* starts over with the same key */
    for (int i = 0; i < 4 && fine; i++) fine = EVP_MAC_update(signer->mac, part[i], length[i]);
    if (!fine || !EVP_MAC_final(signer->mac, digest, &size, sizeof digest)) return false;
    for (size_t i = 0; i < size; i++) {
        hex[2 * i] = "0123456789abcdef"[digest[i] >> 4];
        hex[2 * i + 1] = "0123456789abcdef"[digest[i] & 15];
    }
    hex[2 * size] = 0;
    return true;
}

/* ---- replays ---- */

enum { INDEX_SIZE = 4 * REPLAY_MEMORY };

bool replays_open(Replays *replays)
{
    *replays = (Replays){.ring = calloc(REPLAY_MEMORY, sizeof *replays->ring),
                         .index = calloc(INDEX_SIZE, sizeof *replays->index)};
    pthread_mutex_init(&replays->lock, NULL);
    return replays->ring && replays->index;
}

void replays_close(Replays *replays)
{
    pthread_mutex_destroy(&replays->lock);
    free(replays->ring);
    free(replays->index);
    *replays = (Replays){0};
}

/* Where [value] is in the index, or where it would be put. */
static uint32_t replay_place(const Replays *replays, uint64_t value)
{
    uint32_t place = (uint32_t)value % INDEX_SIZE;
    while (replays->index[place] && replays->ring[replays->index[place] - 1] != value) place = (place + 1) % INDEX_SIZE;
    return place;
}

/* Takes one out of the index; what was pushed past it moves back. */
static void replay_forget(Replays *replays, uint64_t value)
{
    uint32_t hole = replay_place(replays, value);
    replays->index[hole] = 0;
    for (uint32_t at = (hole + 1) % INDEX_SIZE; replays->index[at]; at = (at + 1) % INDEX_SIZE) {
        uint32_t home = (uint32_t)replays->ring[replays->index[at] - 1] % INDEX_SIZE;
        if ((at - home) % INDEX_SIZE < (at - hole) % INDEX_SIZE) continue;
        replays->index[hole] = replays->index[at];
        replays->index[at] = 0;
        hole = at;
    }
}

bool replays_add(Replays *replays, const char *hex)
{
    char start[17];
    memcpy(start, hex, 16);
    start[16] = 0;
    uint64_t value = strtoull(start, NULL, 16);
    pthread_mutex_lock(&replays->lock);
    bool fresh = replays->index[replay_place(replays, value)] == 0;
    if (fresh) {
        if (replays->count == REPLAY_MEMORY) replay_forget(replays, replays->ring[replays->next]);
        else replays->count++;
        replays->ring[replays->next] = value;
        replays->index[replay_place(replays, value)] = replays->next + 1;
        replays->next = (replays->next + 1) % REPLAY_MEMORY;
    }
    pthread_mutex_unlock(&replays->lock);
    return fresh;
}

/* ---- messages that come in ---- */

Request *request_retain(Request *request)
{
    if (request) atomic_fetch_add(&request->refs, 1);
    return request;
}

void request_release(Request *request)
{
    if (!request || atomic_fetch_sub(&request->refs, 1) > 1) return;
    for (int i = 0; i < request->n_frames; i++) zmq_msg_close(&request->frame[i]);
    free(request->frame);
    json_decref(request->header);
    json_decref(request->content);
    free(request);
}

/* Takes one frame more; false with errno EAGAIN: there is no message. */
static bool receive_frame(void *socket, Request *request)
{
    int n = request->n_frames;
    if ((n & (n - 1)) == 0) {                            /* room doubles */
        zmq_msg_t *wider = realloc(request->frame, (n ? 2 * (size_t)n : 1) * sizeof *wider);
        if (!wider) return false;
        request->frame = wider;
    }
    zmq_msg_init(&request->frame[n]);
    int got;
    do got = zmq_msg_recv(&request->frame[n], socket, ZMQ_DONTWAIT);
    while (got < 0 && errno == EINTR);
    if (got < 0) {
        zmq_msg_close(&request->frame[n]);
        return false;
    }
    request->n_frames++;
    return true;
}

/* A message with more frames than anybody sends is read to its end and kept in part. */
static bool receive_frames(void *socket, Request *request)
{
    do {
        if (request->n_frames == MOST_FRAMES) {
            zmq_msg_close(&request->frame[--request->n_frames]);
            request->delimiter = -1;
        }
        if (!receive_frame(socket, request)) return false;
    } while (zmq_msg_more(&request->frame[request->n_frames - 1]));
    return true;
}

static json_t *object_of(zmq_msg_t *frame)
{
    json_t *value = json_loadb(zmq_msg_data(frame), zmq_msg_size(frame), JSON_ALLOW_NUL, NULL);
    if (json_is_object(value)) return value;
    json_decref(value);
    return NULL;
}

static bool is_delimiter(zmq_msg_t *frame)
{
    return zmq_msg_size(frame) == sizeof delimiter_text - 1 &&
           memcmp(zmq_msg_data(frame), delimiter_text, sizeof delimiter_text - 1) == 0;
}

static bool is_signed(Request *request, Wire *wire, const Signer *signer)
{
    zmq_msg_t *frame = &request->frame[request->delimiter + 1];
    const void *part[4];
    size_t length[4];
    char wanted[SIGNATURE_LENGTH + 1];
    if (!signer->keyed) return true;
    for (int i = 0; i < 4; i++) {
        part[i] = zmq_msg_data(frame + 1 + i);
        length[i] = zmq_msg_size(frame + 1 + i);
    }
    return signer_sign(signer, part, length, wanted) && zmq_msg_size(frame) == SIGNATURE_LENGTH &&
           CRYPTO_memcmp(zmq_msg_data(frame), wanted, SIGNATURE_LENGTH) == 0 && replays_add(&wire->replays, wanted);
}

static bool understand(Request *request, Wire *wire, const Signer *signer)
{
    int at = request->delimiter == 0 ? 0 : request->n_frames;
    while (at < request->n_frames && !is_delimiter(&request->frame[at])) at++;
    request->delimiter = at;
    if (request->n_frames - at < AFTER_DELIMITER || !is_signed(request, wire, signer)) return false;
    request->header = object_of(&request->frame[at + 2]);
    request->content = object_of(&request->frame[at + 5]);
    const char *type = json_string_value(json_object_get(request->header, "msg_type"));
    if (!request->content || !type) return false;
    request->type = request_type_find(type);
    return true;
}

Request *request_receive(void *socket, SocketId id, Wire *wire, const Signer *signer, bool *dropped)
{
    *dropped = false;
    Request *request = calloc(1, sizeof *request);
    if (!request) return NULL;
    request->refs = 1;
    request->socket = id;
    bool whole = receive_frames(socket, request);
    if (whole && understand(request, wire, signer)) return request;
    *dropped = request->n_frames > 0;
    if (*dropped) atomic_fetch_add(&wire->dropped, 1);
    request_release(request);
    return NULL;
}

const char *request_text(const Request *request, const char *key)
{
    const char *text = json_string_value(json_object_get(request->content, key));
    return text ? text : "";
}

bool request_flag(const Request *request, const char *key, bool otherwise)
{
    const json_t *value = json_object_get(request->content, key);
    return json_is_boolean(value) ? json_is_true(value) : otherwise;
}

int request_n_buffers(const Request *request)
{
    return request->n_frames - request->delimiter - AFTER_DELIMITER;
}

const void *request_buffer(const Request *request, int index, size_t *length)
{
    zmq_msg_t *frame = &request->frame[request->delimiter + AFTER_DELIMITER + index];
    *length = zmq_msg_size(frame);
    return zmq_msg_data(frame);
}

char *request_answered(const Request *request)
{
    json_t *parent = object_of(&request->frame[request->delimiter + 3]);
    const char *id = json_string_value(json_object_get(parent, "msg_id"));
    char *copy = id ? strdup(id) : NULL;
    json_decref(parent);
    return copy;
}

/* ---- messages that go out ---- */

Outgoing *outgoing_new(SocketId socket, const char *type, Request *parent, json_t *content)
{
    Outgoing *outgoing = calloc(1, sizeof *outgoing);
    char *text = content ? json_dumps(content, JSON_COMPACT) : NULL;
    json_decref(content);
    if (!outgoing || !text) {
        free(outgoing);
        free(text);
        return NULL;
    }
    *outgoing = (Outgoing){.socket = socket, .type = type, .parent = request_retain(parent), .content = text};
    return outgoing;
}

void outgoing_free(Outgoing *outgoing)
{
    if (!outgoing) return;
    for (int i = 0; i < outgoing->n_buffers; i++) free(outgoing->buffer[i].at);
    free(outgoing->buffer);
    free(outgoing->metadata);
    free(outgoing->content);
    request_release(outgoing->parent);
    free(outgoing);
}

void message_id(const Wire *wire, unsigned number, char id[MESSAGE_ID])
{
    snprintf(id, MESSAGE_ID, "%s_%u", wire->session, number);
}

unsigned message_number(Wire *wire)
{
    return atomic_fetch_add(&wire->sent, 1) + 1;
}

static void make_header(Wire *wire, const Outgoing *outgoing, char *to, size_t room)
{
    char id[MESSAGE_ID];
    message_id(wire, outgoing->number ? outgoing->number : message_number(wire), id);
    struct timespec now;
    struct tm day;
    char date[32];
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &day);
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &day);
    snprintf(to, room,
             "{\"msg_id\":\"%s\",\"session\":\"%s\",\"username\":\"tessera\",\"date\":\"%s.%06ldZ\","
             "\"msg_type\":\"%s\",\"version\":\"" PROTOCOL_VERSION "\"}",
             id, wire->session, date, now.tv_nsec / 1000, outgoing->type);
}

/* A frame of copied bytes. After a failure nothing more of the message is sent: what comes would be misread. */
static bool send_bytes(void *socket, const void *bytes, size_t length, bool more)
{
    int sent;
    do sent = zmq_send(socket, bytes, length, ZMQ_DONTWAIT | (more ? ZMQ_SNDMORE : 0));
    while (sent < 0 && errno == EINTR);
    return sent >= 0;
}

static void free_frame(void *data, void *hint)
{
    (void)hint;
    free(data);
}

/* A frame of malloc'ed bytes, which are taken. */
static bool send_taken(void *socket, void *bytes, size_t length, bool more)
{
    zmq_msg_t frame;
    int sent;
    if (zmq_msg_init_data(&frame, bytes, length, free_frame, NULL) != 0) {
        free(bytes);
        return false;
    }
    do sent = zmq_msg_send(&frame, socket, ZMQ_DONTWAIT | (more ? ZMQ_SNDMORE : 0));
    while (sent < 0 && errno == EINTR);
    if (sent < 0) zmq_msg_close(&frame);
    return sent >= 0;
}

static bool send_address(const Outgoing *outgoing, void *socket)
{
    const Request *to = outgoing->parent;
    const char *topic = outgoing->topic ? outgoing->topic : outgoing->type;
    if (outgoing->socket == SOCKET_IOPUB) return !*topic || send_bytes(socket, topic, strlen(topic), true);
    for (int i = 0; i < to->delimiter; i++)
        if (!send_bytes(socket, zmq_msg_data(&to->frame[i]), zmq_msg_size(&to->frame[i]), true)) return false;
    return true;
}

void outgoing_send_take(Outgoing *outgoing, void *socket, Wire *wire, const Signer *signer)
{
    char header[512], signature[SIGNATURE_LENGTH + 1];
    zmq_msg_t *parent = outgoing->parent ? &outgoing->parent->frame[outgoing->parent->delimiter + 2] : NULL;
    const char *metadata = outgoing->metadata ? outgoing->metadata : "{}";
    make_header(wire, outgoing, header, sizeof header);
    const void *part[4] = {header, parent ? zmq_msg_data(parent) : "{}", metadata, outgoing->content};
    const size_t length[4] = {strlen(header), parent ? zmq_msg_size(parent) : 2, strlen(metadata),
                              strlen(outgoing->content)};
    bool fine = signer_sign(signer, part, length, signature) && send_address(outgoing, socket) &&
                send_bytes(socket, delimiter_text, sizeof delimiter_text - 1, true) &&
                send_bytes(socket, signature, strlen(signature), true);
    for (int i = 0; i < 3 && fine; i++) fine = send_bytes(socket, part[i], length[i], true);
    if (fine) {
        fine = send_taken(socket, outgoing->content, length[3], outgoing->n_buffers > 0);
        outgoing->content = NULL;
    }
    for (int i = 0; i < outgoing->n_buffers && fine; i++) {
        fine = send_taken(socket, outgoing->buffer[i].at, outgoing->buffer[i].length, i + 1 < outgoing->n_buffers);
        outgoing->buffer[i].at = NULL;
    }
    outgoing_free(outgoing);
}

/* ---- text ---- */

/* Bytes of the codepoint that [at] begins with; 0: it begins none. */
static size_t codepoint_length(const unsigned char *at, size_t left)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t length = at[0] < 0x80 ? 1 : at[0] >= 0xC2 && at[0] < 0xE0 ? 2 : (at[0] & 0xF0) == 0xE0 ? 3
                  : at[0] >= 0xF0 && at[0] < 0xF5 ? 4 : 0;
    if (length <= 1 || length > left) return length <= left ? length : 0;
    uint32_t point = at[0] & (0x7Fu >> length);
    for (size_t i = 1; i < length; i++) {
        if ((at[i] & 0xC0) != 0x80) return 0;
        point = point << 6 | (at[i] & 0x3Fu);
    }
    return point < least[length] || point > 0x10FFFF || (point >= 0xD800 && point < 0xE000) ? 0 : length;
}

json_t *json_from_bytes(const char *bytes, size_t length)
{
    json_t *string = json_stringn(bytes, length);
    char *mended = string ? NULL : malloc(3 * length + 1), *to = mended;
    for (size_t i = 0; mended && i < length;) {
        size_t good = codepoint_length((const unsigned char *)bytes + i, length - i);
        const char *from = good ? bytes + i : "\xEF\xBF\xBD";
        memcpy(to, from, good ? good : 3);
        to += good ? good : 3;
        i += good ? good : 1;
    }
    if (mended) string = json_stringn(mended, (size_t)(to - mended));
    free(mended);
    return string;
}

json_t *json_from_text(const char *text) { return json_from_bytes(text, strlen(text)); }
