/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Output of cells: joined, in order with what C libraries print, cut short above a limit, lines that are written over; and
   displays that change in place. */
#include "../../kernel/output.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../../kernel/event.h"
#include "../../kernel/places.h"
#include "../../kernel/requests.h"
#include "../tap.h"

const RequestType *request_type_find(const char *name)
{
    (void)name;
    return NULL;
}

static char shown[1 << 22];   /* "1:text" of each message, ended by | */
static int messages;
static size_t longest;

static void emit(void *user, Request *parent, OutputStream stream, const char *text, size_t length)
{
    size_t used = strlen(shown);
    (void)user;
    (void)parent;
    messages++;
    if (length > longest) longest = length;
    snprintf(shown + used, sizeof shown - used, "%d:%.*s|", stream + 1, (int)length, text);
}

static void forget(void)
{
    shown[0] = 0;
    messages = 0;
    longest = 0;
}

static void write_text(Output *output, OutputStream stream, const char *text)
{
    output_write(output, stream, text, strlen(text));
}

static void expect(const char *wanted, const char *name)
{
    if (!tap_ok(strcmp(shown, wanted) == 0, "%s", name)) tap_note("wanted %s, got %.300s", wanted, shown);
    forget();
}

static void test_joining(Output *output)
{
    output_begin(output, NULL, false);
    for (int i = 0; i < 5; i++) write_text(output, OUTPUT_OUT, "a");
    tap_ok(messages == 0 && output_deadline(output) > seconds_now() && output_deadline(output) < seconds_now() + 0.1,
           "text waits, not for long");
    output_tick(output, seconds_now());
    tap_ok(messages == 0, "a tick before its time sends nothing");
    output_tick(output, seconds_now() + 1);
    expect("1:aaaaa|", "a tick in time sends all");
    tap_ok(output_deadline(output) == NO_DEADLINE, "then nothing waits");
    write_text(output, OUTPUT_OUT, "out");
    write_text(output, OUTPUT_ERR, "err");
    write_text(output, OUTPUT_OUT, "out");
    output_finish(output);
    expect("1:out|2:err|1:out|", "streams keep their order");
    write_text(output, OUTPUT_OUT, "half \xc3");
    output_tick(output, seconds_now() + 1);
    expect("1:half |", "half a codepoint waits for the rest");
    write_text(output, OUTPUT_OUT, "\xa4");
    output_flush(output);
    expect("1:ä|", "which then comes");
    output_begin(output, NULL, true);
    write_text(output, OUTPUT_OUT, "unheard");
    output_finish(output);
    expect("", "a silent cell shows nothing");
}

static void test_many(Output *output)
{
    char *line = malloc(100001);
    memset(line, 'x', 100000);
    memcpy(line + 99998, "\xc3\xa4", 3);
    output_begin(output, NULL, false);
    for (int i = 0; i < 5; i++) output_write(output, OUTPUT_OUT, line, 100000);
    output_finish(output);
    tap_ok(longest <= OUTPUT_CHUNK && messages == 8 && strlen(shown) == 500000 + 8 * 3, "long text goes in pieces");
    forget();
    output_begin(output, NULL, false);
    for (int i = 0; i < 1000; i++) output_write(output, OUTPUT_OUT, line, 100000);
    write_text(output, OUTPUT_OUT, "\nthe end\n");
    output_finish(output);
    const char *note = strstr(shown, "|2:\n[more than 1.0 MB of output");
    tap_ok(strlen(shown) < OUTPUT_LIMIT + OUTPUT_TAIL + 1000 && note && strstr(note, " bytes left out]\n|1:the end\n|"),
           "of 100 MB the first and the last are shown, and how much not");
    forget();
    output_begin(output, NULL, false);
    write_text(output, OUTPUT_OUT, "next");
    output_finish(output);
    expect("1:next|", "the next cell begins anew");
    free(line);
}

static void test_capture(Output *output)
{
    bool fine = output_capture(output);
    output_begin(output, NULL, false);
    for (int i = 0; i < 3; i++) {
        printf("C %d\n", i);
        write_text(output, OUTPUT_OUT, "T\n");
    }
    fprintf(stderr, "E\n");
    fine &= write(STDOUT_FILENO, "W\n", 2) == 2;
    output_finish(output);
    output_release(output);
    tap_ok(fine, "standard output and error are caught and given back");
    if (!tap_ok(strncmp(shown, "1:C 0\nT\nC 1\nT\nC 2\nT\n", 20) == 0 && strstr(shown, "W\n") && strstr(shown, "2:E\n|"),
                "what C prints comes in order")) tap_note("%s", shown);
    forget();
}

static void expect_collapsed(const char *text, const char *wanted)
{
    char line[256];
    snprintf(line, sizeof line, "%s", text);
    line[output_collapse(line, strlen(line))] = 0;
    if (!tap_ok(strcmp(line, wanted) == 0, "written over: %zu bytes become %zu", strlen(text), strlen(wanted)))
        tap_note("got %s", line);
}

static void test_collapse(void)
{
    expect_collapsed("no\nreturns", "no\nreturns");
    expect_collapsed("windows\r\nlines\r\n", "windows\r\nlines\r\n");
    expect_collapsed("10%\r20%\r30%\ndone", "\r30%\ndone");
    expect_collapsed("a\nx 1\rx 2\rx 3", "a\n\rx 3");
    expect_collapsed("longer\rshort", "longer\rshort");
    expect_collapsed("\033[1m10\r20", "\033[1m10\r20");
    expect_collapsed("50%\r", "50%\r");
    expect_collapsed("ää\raa", "\raa");
}

/* ---- places ---- */

static void show_place(void *user, Request *parent, bool update, json_t *content)
{
    size_t used = strlen(shown);
    (void)user;
    (void)parent;
    snprintf(shown + used, sizeof shown - used, "%c%d|", update ? 'u' : 'd', (int)json_integer_value(content));
    json_decref(content);
}

static void test_places(int wake)
{
    Places places;
    places_open(&places, show_place, NULL, wake);
    places_put(&places, 1, false, NULL, json_integer(0));
    for (int i = 1; i < 100; i++) places_put(&places, 1, true, NULL, json_integer(i));
    places_put(&places, 2, true, NULL, json_integer(500));
    expect("d0|u500|", "a place is shown at once, changes of it wait; another place does not");
    tap_ok(places_deadline(&places) < seconds_now() + PLACE_INTERVAL, "not for long");
    places_tick(&places, seconds_now() + 1);
    expect("u99|", "then the last one is shown");
    for (int i = 0; i < 10; i++) places_put(&places, 2, true, NULL, json_integer(i));
    places_finish(&places);
    expect("u9|", "at the end of a cell nothing is lost");
    tap_ok(places_deadline(&places) == NO_DEADLINE, "and nothing waits");
    places_close(&places);
}

int main(void)
{
    Output output;
    int wake = event_new();
    output_open(&output, emit, NULL, OUTPUT_LIMIT, wake);
    test_joining(&output);
    test_many(&output);
    test_capture(&output);
    output_close(&output);
    test_collapse();
    test_places(wake);
    close(wake);
    return tap_end();
}
