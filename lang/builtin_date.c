/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Dates: moments in microseconds since 1970, told in a zone that is a fixed number of minutes. The calendar is the
   Gregorian one, years 1 to 9999, without leap seconds. Names of days and months are English, whatever the locale. */
#include "date.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ast.h"
#include "builtins.h"
#include "print.h"

#define SECOND INT64_C(1000000)
#define DAY (86400 * SECOND)
#define LETTERS "letters: %Y %m %d %H %M %S %f %y %b %B %a %A %j %I %p %z %F %T %s %V %u %%"

typedef struct Fields { int64_t year; int month, day, hour, minute, second, micro, zone; } Fields;

static const char *const month_names[] = {"January", "February", "March", "April", "May", "June", "July", "August",
                                          "September", "October", "November", "December"};
static const char *const day_names[] = {"Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"};

/* ---- the calendar ---- */

static bool is_leap(int64_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static int month_length(int64_t year, int month)
{
    static const int8_t length[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return length[month - 1] + (month == 2 && is_leap(year));
}

static int days_before(int64_t year, int month)
{
    int days = 0;
    for (int m = 1; m < month; m++) days += month_length(year, m);
    return days;
}

/* Days from 1970-01-01 to the first of January of a year from 1 on. */
static int64_t year_start(int64_t year)
{
    int64_t before = year - 1;
    return before * 365 + before / 4 - before / 100 + before / 400 - 719162;
}

static int64_t floor_by(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

static Fields fields_of(Value date)
{
    int64_t local = date.i + date.zone * 60 * SECOND, days = floor_by(local, DAY), left = local - days * DAY;
    Fields f = {.year = 1970 + floor_by(days * 400, 146097), .zone = date.zone};
    while (year_start(f.year) > days) f.year--;
    while (year_start(f.year + 1) <= days) f.year++;
    int day = (int)(days - year_start(f.year));
    for (f.month = 1; day >= month_length(f.year, f.month); f.month++) day -= month_length(f.year, f.month);
    f.day = day + 1;
    f.micro = (int)(left % SECOND);
    left /= SECOND;
    f.hour = (int)(left / 3600);
    f.minute = (int)(left / 60 % 60);
    f.second = (int)(left % 60);
    return f;
}

static Value date_from(const Fields *f)
{
    int64_t days = year_start(f->year) + days_before(f->year, f->month) + f->day - 1;
    int64_t seconds = days * 86400 + f->hour * 3600 + f->minute * 60 + f->second - f->zone * 60;
    return value_date(seconds * SECOND + f->micro, f->zone);
}

static int yearday(const Fields *f) { return days_before(f->year, f->month) + f->day; }

static int weekday(const Fields *f)          /* 0: Monday */
{
    int64_t days = year_start(f->year) + yearday(f) - 1;
    return (int)((days % 7 + 7 + 3) % 7);
}

/* The week of ISO 8601: week 1 has the year's first Thursday. */
static int week(const Fields *f)
{
    Fields thursday = fields_of(value_date(date_from(f).i + (3 - weekday(f)) * DAY, f->zone));
    return (yearday(&thursday) - 1) / 7 + 1;
}

bool date_is_sound(int64_t micros, int64_t zone)
{
    int64_t local = micros / SECOND + zone * 60;         /* a day is kept free at both ends: every zone can tell it */
    return zone > -1440 && zone < 1440 && local >= (year_start(1) + 1) * 86400 &&
           local < (year_start(10000) - 1) * 86400;
}

static bool give_date(Vm *vm, const char *function, Value date, Value *result)
{
    *result = date;
    bool sound = date_is_sound(date.i, date.zone);
    return sound || vm_fail(vm, ERROR_overflow, function, "dates are of the years 1 to 9999");
}

/* ---- zones ---- */

/* "Z", "+02:00", "+0200", "+02" as minutes; gives what follows, or NULL. */
static const char *read_zone(const char *at, int *zone)
{
    *zone = 0;
    if (*at == 'Z' || *at == 'z') return at + 1;
    int sign = *at == '-' ? -1 : 1, digit[4] = {0}, n = 0;
    if (*at != '+' && *at != '-') return NULL;
    for (at++; n < 4 && isdigit((unsigned char)*at); at++) {
        digit[n++] = *at - '0';
        if (n == 2 && at[1] == ':' && isdigit((unsigned char)at[2])) at++;
    }
    int minutes = digit[2] * 10 + digit[3];
    *zone = sign * ((digit[0] * 10 + digit[1]) * 60 + minutes);
    return (n == 2 || n == 4) && minutes < 60 && abs(*zone) < 1440 ? at : NULL;
}

static int local_zone(time_t at)
{
    struct tm tm;
    return localtime_r(&at, &tm) ? (int)(tm.tm_gmtoff / 60) : 0;
}

/* The zone by its name; *local when it depends on the moment. */
static bool zone_named(Vm *vm, const char *function, const String *name, bool *local, int *zone)
{
    *local = strcmp(name->text, "local") == 0;
    *zone = 0;
    if (*local || strcmp(name->text, "UTC") == 0) return true;
    const char *end = read_zone(name->text, zone);
    if (end && !*end) return true;
    vm_fail(vm, ERROR_value, function, "the zone \"%.60s\" is unknown", name->text);
    error_hint(&vm_tensors(vm)->error, "zones are \"UTC\", \"local\" and distances from UTC such as \"+02:00\"");
    return false;
}

static bool in_zone(Vm *vm, const char *function, int64_t micros, const String *name, Value *result)
{
    bool local;
    int zone;
    if (!zone_named(vm, function, name, &local, &zone)) return false;
    if (local) zone = local_zone((time_t)floor_by(micros, SECOND));
    return give_date(vm, function, value_date(micros, zone), result);
}

/* Fields that were read without a zone, as a date in the zone of that name. */
static bool settle(Vm *vm, const char *function, Fields *f, const String *zone, Value *result)
{
    bool local;
    if (!zone_named(vm, function, zone, &local, &f->zone)) return false;
    if (local) {
        struct tm tm = {.tm_year = (int)f->year - 1900, .tm_mon = f->month - 1, .tm_mday = f->day, .tm_hour = f->hour,
                        .tm_min = f->minute, .tm_sec = f->second, .tm_isdst = -1};
        f->zone = local_zone(mktime(&tm));
    }
    return give_date(vm, function, date_from(f), result);
}

/* ---- reading ---- */

typedef struct Limit { const char *name; int64_t at; int low, high; } Limit;

/* Names the field that is out of its range. */
static bool check_fields(Vm *vm, const char *function, const Fields *f)
{
    bool date = f->year >= 1 && f->year <= 9999 && f->month >= 1 && f->month <= 12;
    const Limit range[] = {
        {"year", f->year, 1, 9999}, {"month", f->month, 1, 12},
        {"day", f->day, 1, date ? month_length(f->year, f->month) : 31},
        {"hour", f->hour, 0, 23}, {"minute", f->minute, 0, 59}, {"second", f->second, 0, 59}};
    for (size_t i = 0; i < sizeof range / sizeof *range; i++) {
        if (range[i].at >= range[i].low && range[i].at <= range[i].high) continue;
        return vm_fail(vm, ERROR_value, function, "the %s is %lld, but goes from %d to %d", range[i].name,
                       (long long)range[i].at, range[i].low, range[i].high);
    }
    return true;
}

/* Up to [most] digits; NULL when there are fewer than [least]. */
static const char *read_digits(const char *at, int least, int most, int *number)
{
    int n = 0;
    for (*number = 0; n < most && isdigit((unsigned char)*at); n++) *number = *number * 10 + (*at++ - '0');
    return n >= least ? at : NULL;
}

static const char *read_fraction(const char *at, int *micro)
{
    int digits = 0;
    for (*micro = 0; isdigit((unsigned char)*at); at++)
        if (digits++ < 6) *micro = *micro * 10 + (*at - '0');
    if (!digits) return NULL;
    for (; digits < 6; digits++) *micro *= 10;
    return at;
}

/* A name or its first three letters; *number counts from 1. */
static const char *read_name(const char *at, const char *const *names, int count, int *number)
{
    for (int i = 0; i < count; i++) {
        size_t length = strlen(names[i]);
        *number = i + 1;
        if (strncasecmp(at, names[i], length) == 0) return at + length;
        if (strncasecmp(at, names[i], 3) == 0) return at + 3;
    }
    return NULL;
}

typedef struct Reading { Fields f; int yearday; bool has_zone, pm, half; bool seconds; int64_t since; } Reading;

/* What one letter of a format says of the text; gives what follows, or NULL. */
static const char *read_letter(Reading *r, char letter, const char *at)
{
    Fields *f = &r->f;
    int number = 0;
    char *end;
    switch (letter) {
    case 'Y': at = read_digits(at, 4, 4, &number); f->year = number; return at;
    case 'y': at = read_digits(at, 2, 2, &number); f->year = number + (number < 69 ? 2000 : 1900); return at;
    case 'm': return read_digits(at, 1, 2, &f->month);
    case 'd': return read_digits(at + strspn(at, " "), 1, 2, &f->day);
    case 'H': return read_digits(at, 1, 2, &f->hour);
    case 'I': r->half = true; return read_digits(at, 1, 2, &f->hour);
    case 'M': return read_digits(at, 1, 2, &f->minute);
    case 'S': return read_digits(at, 1, 2, &f->second);
    case 'f': return read_fraction(at, &f->micro);
    case 'j': return read_digits(at, 1, 3, &r->yearday);
    case 'b': case 'B': return read_name(at, month_names, 12, &f->month);
    case 'a': case 'A': return read_name(at, day_names, 7, &number);
    case 'p':
        r->pm = tolower((unsigned char)*at) == 'p';
        return (r->pm || tolower((unsigned char)*at) == 'a') && tolower((unsigned char)at[1]) == 'm' ? at + 2 : NULL;
    case 'z': r->has_zone = true; return read_zone(at, &f->zone);
    case 's': r->seconds = true; r->since = strtoll(at, &end, 10); return end > at ? end : NULL;
    case '%': return *at == '%' ? at + 1 : NULL;
    default: return NULL;
    }
}

static const char *read_format(Reading *r, const char *format, const char *at)
{
    for (; *format && at; format++) {
        if (*format != '%') at = *at == *format ? at + 1 : NULL;
        else if (*++format == 'F') at = read_format(r, "%Y-%m-%d", at);
        else if (*format == 'T') at = read_format(r, "%H:%M:%S", at);
        else if (*format) at = read_letter(r, *format, at);
        else return NULL;
    }
    return at;
}

static bool finish_reading(Vm *vm, const char *function, Reading *r, const String *zone, Value *result)
{
    if (r->seconds) {
        if (llabs(r->since) > INT64_C(400000000000)) r->since = INT64_C(400000000000);
        return in_zone(vm, function, r->since * SECOND + r->f.micro, zone, result);
    }
    if (r->half && (r->f.hour < 1 || r->f.hour > 12)) r->f.hour = 99;
    else if (r->half) r->f.hour = r->f.hour % 12 + 12 * r->pm;
    if (r->yearday && r->yearday <= 365 + is_leap(r->f.year)) {
        for (r->f.month = 1; r->yearday > month_length(r->f.year, r->f.month); r->f.month++)
            r->yearday -= month_length(r->f.year, r->f.month);
        r->f.day = r->yearday;
    }
    if (!check_fields(vm, function, &r->f)) return false;
    return r->has_zone ? give_date(vm, function, date_from(&r->f), result) : settle(vm, function, &r->f, zone, result);
}

bool native_parse_date(Vm *vm, const Value *args, Value *result)
{
    Reading r = {.f = {.year = 1970, .month = 1, .day = 1}};
    const char *text = args[0].string->text, *format = args[1].string->text;
    const char *end = read_format(&r, format, text);
    if (end && !*end) return finish_reading(vm, "parse_date", &r, args[2].string, result);
    vm_fail(vm, ERROR_value, "parse_date", "\"%.80s\" is not of the form \"%.80s\"", text, format);
    error_hint(&vm_tensors(vm)->error, "%s", LETTERS);
    return false;
}

/* ISO 8601: 2026-11-22, then maybe T or a space and 10:00, :30, .25, and Z or +02:00. */
static bool parse_iso(Vm *vm, const char *text, const String *zone, Value *result)
{
    Reading r = {.f = {.year = 1970, .month = 1, .day = 1}};
    const char *at = read_format(&r, "%Y-%m-%d", text);
    if (at && (*at == 'T' || *at == 't' || *at == ' ')) {
        at = read_format(&r, "%H:%M", at + 1);
        if (at && *at == ':') at = read_format(&r, "%S", at + 1);
        if (at && (*at == '.' || *at == ',')) at = read_fraction(at + 1, &r.f.micro);
        if (at && *at == ' ') at++;
        if (at && *at) at = read_letter(&r, 'z', at);
    }
    if (at && !*at) return finish_reading(vm, "date", &r, zone, result);
    vm_fail(vm, ERROR_value, "date", "\"%.80s\" is no date such as 2026-11-22 or 2026-11-22T10:30:00Z", text);
    error_hint(&vm_tensors(vm)->error, "other forms: parse_date(s, \"%%d.%%m.%%Y\")");
    return false;
}

static bool from_seconds(Vm *vm, const char *function, double seconds, const String *zone, Value *result)
{
    bool sound = fabs(seconds) < 4e11;                     /* not a NaN either */
    return in_zone(vm, function, sound ? llround(seconds * 1e6) : INT64_MAX / 2, zone, result);
}

/* A year, a month … */
static bool from_parts(Vm *vm, const Value *args, int64_t year, Value *result)
{
    const int64_t part[] = {args[1].i, args[2].tag == TAG_NONE ? 1 : args[2].i, args[3].i, args[4].i};
    double second = args[5].tag == TAG_INT ? (double)args[5].i : args[5].f, whole = floor(second);
    Fields f = {.year = year};
    int *to[] = {&f.month, &f.day, &f.hour, &f.minute};
    for (int i = 0; i < 4; i++) *to[i] = part[i] < -99 ? -99 : part[i] > 99 ? 99 : (int)part[i];
    f.second = whole >= 0 && whole < 60 ? (int)whole : 99;
    f.micro = (int)floor((second - whole) * 1e6 + 0.5);
    if (f.micro > 999999) f.micro = 999999;
    return check_fields(vm, "date", &f) && settle(vm, "date", &f, args[6].string, result);
}

bool native_date(Vm *vm, const Value *args, Value *result)
{
    Value x = args[0];
    double seconds;
    int64_t year;
    const String *zone = args[6].string;
    if (x.tag == TAG_DATE) {
        *result = x;
        return true;
    }
    if (x.tag == TAG_STRING) return parse_iso(vm, x.string->text, zone, result);
    if (args[1].tag != TAG_NONE && value_to_int(x, &year)) return from_parts(vm, args, year, result);
    if (x.tag == TAG_INT && x.i > 0 && x.i < 10000) {
        vm_fail(vm, ERROR_value, "date", "%lld could be a year or seconds since 1970", (long long)x.i);
        error_hint(&vm_tensors(vm)->error, "write date(%lld, 1, 1), or date(%lld.0) for seconds", (long long)x.i,
                   (long long)x.i);
        return false;
    }
    if (value_to_double(x, &seconds)) return from_seconds(vm, "date", seconds, zone, result);
    return native_wants(vm, "date", "x", "a string, a year or seconds", x);
}

bool native_now(Vm *vm, const Value *args, Value *result)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return in_zone(vm, "now", (int64_t)now.tv_sec * SECOND + now.tv_nsec / 1000, args[0].string, result);
}

bool native_in_zone(Vm *vm, const Value *args, Value *result)
{
    if (args[0].tag != TAG_DATE) return native_wants(vm, "in_zone", "d", "a date", args[0]);
    return in_zone(vm, "in_zone", args[0].i, args[1].string, result);
}

/* ---- showing ---- */

static void add_zone(Text *out, int zone, const char *colon)
{
    int size = abs(zone);
    text_format(out, "%c%02d%s%02d", zone < 0 ? '-' : '+', size / 60, colon, size % 60);
}

void date_print(Text *out, Value date)
{
    Fields f = fields_of(date);
    text_format(out, "%04lld-%02d-%02dT%02d:%02d:%02d", (long long)f.year, f.month, f.day, f.hour, f.minute, f.second);
    if (f.micro) text_format(out, f.micro % 1000 ? ".%06d" : ".%03d", f.micro % 1000 ? f.micro : f.micro / 1000);
    if (f.zone) add_zone(out, f.zone, ":");
    else text_string(out, "Z");
}

static bool add_letter(Text *out, const Fields *f, Value date, char letter)
{
    switch (letter) {
    case 'Y': text_format(out, "%04lld", (long long)f->year); break;
    case 'y': text_format(out, "%02d", (int)(f->year % 100)); break;
    case 'm': text_format(out, "%02d", f->month); break;
    case 'd': text_format(out, "%02d", f->day); break;
    case 'H': text_format(out, "%02d", f->hour); break;
    case 'I': text_format(out, "%02d", (f->hour + 11) % 12 + 1); break;
    case 'p': text_string(out, f->hour < 12 ? "AM" : "PM"); break;
    case 'M': text_format(out, "%02d", f->minute); break;
    case 'S': text_format(out, "%02d", f->second); break;
    case 'f': text_format(out, "%06d", f->micro); break;
    case 'j': text_format(out, "%03d", yearday(f)); break;
    case 'b': text_add(out, month_names[f->month - 1], 3); break;
    case 'B': text_string(out, month_names[f->month - 1]); break;
    case 'a': text_add(out, day_names[weekday(f)], 3); break;
    case 'A': text_string(out, day_names[weekday(f)]); break;
    case 'z': add_zone(out, f->zone, ""); break;
    case 's': text_format(out, "%lld", (long long)floor_by(date.i, SECOND)); break;
    case 'V': text_format(out, "%02d", week(f)); break;
    case 'u': text_format(out, "%d", weekday(f) + 1); break;
    case 'F': text_format(out, "%04lld-%02d-%02d", (long long)f->year, f->month, f->day); break;
    case 'T': text_format(out, "%02d:%02d:%02d", f->hour, f->minute, f->second); break;
    case '%': text_add(out, "%", 1); break;
    default: return false;
    }
    return true;
}

bool date_format(Vm *vm, Value date, const char *spec, Text *out)
{
    Fields f = fields_of(date);
    for (; *spec; spec++) {
        if (*spec != '%') text_add(out, spec, 1);
        else if (!add_letter(out, &f, date, *++spec)) {
            if (*spec) vm_fail(vm, ERROR_value, "", "a date has no %%%c to show", *spec);
            else vm_fail(vm, ERROR_value, "", "the format ends in %%");
            error_hint(&vm_tensors(vm)->error, "%s", LETTERS);
            return false;
        }
    }
    return out->failed ? vm_out_of_memory(vm) : true;
}

const char *const date_members[] = {"year", "month", "day", "hour", "minute", "second", "microsecond", "weekday",
                                    "yearday", "week", "seconds", "zone", NULL};

bool date_member(Vm *vm, Value date, const char *name, Value *result, bool *found)
{
    Fields f = fields_of(date);
    const int64_t ints[] = {f.year, f.month, f.day, f.hour, f.minute, f.second, f.micro, weekday(&f), yearday(&f), week(&f)};
    size_t at = 0;
    while (date_members[at] && strcmp(date_members[at], name) != 0) at++;
    *found = date_members[at] != NULL;
    if (!*found) return true;
    if (at < sizeof ints / sizeof *ints) *result = value_int(ints[at]);
    else if (strcmp(name, "seconds") == 0) *result = value_float((double)date.i / 1e6);
    else {
        Text text = {0};
        if (f.zone) add_zone(&text, f.zone, ":");
        else text_string(&text, "UTC");
        return native_give_text(vm, &text, result);
    }
    return true;
}

/* ---- arithmetic ---- */

bool date_arithmetic(Vm *vm, int op, Value a, Value b, Value *result, bool *handled)
{
    Value date = a.tag == TAG_DATE ? a : b, other = a.tag == TAG_DATE ? b : a;
    double seconds;
    *handled = true;
    if (op == OPERATOR_SUB && a.tag == TAG_DATE && b.tag == TAG_DATE) {
        *result = value_float((double)(a.i - b.i) / 1e6);
        return true;
    }
    *handled = value_to_double(other, &seconds) && (op == OPERATOR_ADD || (op == OPERATOR_SUB && a.tag == TAG_DATE));
    if (!*handled) return false;
    if (!(fabs(seconds) < 1e12)) return vm_fail(vm, ERROR_overflow, "", "dates are of the years 1 to 9999");
    int64_t micros = llround(seconds * 1e6);
    return give_date(vm, "", value_date(op == OPERATOR_ADD ? date.i + micros : date.i - micros, date.zone), result);
}
