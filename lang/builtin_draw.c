/* SPDX-License-Identifier: GPL-3.0-or-later */
/* _draw: the marks of a picture as plot/plot.tsr makes them, maps in a list, handed to the module `plot`. A mark is
   {kind: "line", points: [n, 2], color: [r, g, b, opacity] 0 to 1, …}; the fields are those of DrawMark. */
#include <stdlib.h>
#include <string.h>

#include "bridge.h"
#include "builtins.h"
#include "draw.h"
#include "print.h"
#include "utf8.h"

static const struct { const char *name; DrawKind kind; int numbers; } kinds[] = {
    {"line", DRAW_LINE, 2}, {"fill", DRAW_FILL, 2}, {"circles", DRAW_CIRCLES, 2}, {"rects", DRAW_RECTS, 4},
    {"text", DRAW_TEXT, 2}, {"image", DRAW_IMAGE, 4}, {"clip", DRAW_CLIP, 4},
};

/* What the marks point to, to be released when they are drawn. */
typedef struct Scene {
    Vm *vm;
    int count, n_held;
    DrawMark *mark;
    Tensor **held;
} Scene;

static bool wrong(Scene *scene, const char *what)
{
    return vm_fail(scene->vm, ERROR_value, "_draw", "mark %d has no fitting %s", scene->count, what);
}

/* The field as a dense tensor of that dtype that the scene holds; NULL where it is missing, or with the error set. */
static Tensor *field_tensor(Scene *scene, const Map *map, const char *name, Dtype dtype)
{
    Value v;
    if (!map_get_text(map, name, &v) || v.tag == TAG_NONE) return NULL;
    TensorContext *ctx = vm_tensors(scene->vm);
    Tensor *given = value_to_tensor_dtype(ctx, v, dtype), *dense = given ? tensor_contiguous(ctx, given) : NULL;
    tensor_release(given);
    if (dense) scene->held[scene->n_held++] = dense;
    return dense;
}

static double field_number(const Map *map, const char *name, double otherwise)
{
    Value v;
    double number;
    return map_get_text(map, name, &v) && value_to_double(v, &number) ? number : otherwise;
}

static bool read_kind(Scene *scene, const Map *map, DrawMark *mark, int *numbers)
{
    Value v;
    if (!map_get_text(map, "kind", &v) || v.tag != TAG_STRING) return wrong(scene, "kind");
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i].name, v.string->text) == 0) {
            mark->kind = kinds[i].kind;
            *numbers = kinds[i].numbers;
            return true;
        }
    return wrong(scene, "kind");
}

static bool read_points(Scene *scene, const Map *map, DrawMark *mark, int numbers)
{
    const Tensor *points = field_tensor(scene, map, "points", DTYPE_f64);
    if (vm_tensors(scene->vm)->error.kind != ERROR_NONE) return false;
    if (!points) return mark->kind == DRAW_CLIP || wrong(scene, "points");
    if (points->ndim != 2 || points->shape[1] != numbers) return wrong(scene, "points");
    mark->points = (const double *)(const void *)points->data;
    mark->count = points->shape[0];
    return true;
}

static bool read_colors(Scene *scene, const Map *map, DrawMark *mark)
{
    const Tensor *one = field_tensor(scene, map, "color", DTYPE_f64), *each = field_tensor(scene, map, "colors", DTYPE_f64);
    if (vm_tensors(scene->vm)->error.kind != ERROR_NONE) return false;
    mark->color[3] = 1;
    if (one && (one->ndim != 1 || one->shape[0] < 3 || one->shape[0] > 4)) return wrong(scene, "color");
    for (int i = 0; one && i < one->shape[0]; i++) mark->color[i] = tensor_item(one, i);
    if (each && (each->ndim != 2 || each->shape[0] != mark->count || each->shape[1] != 3)) return wrong(scene, "colors");
    mark->colors = each ? (const double *)(const void *)each->data : NULL;
    return true;
}

static bool read_image(Scene *scene, const Map *map, DrawMark *mark)
{
    if (mark->kind != DRAW_IMAGE) return true;
    const Tensor *pixels = field_tensor(scene, map, "pixels", DTYPE_u8);
    if (!pixels || pixels->ndim != 3 || pixels->shape[2] != 3 || pixels->shape[0] > 16384 || pixels->shape[1] > 16384)
        return wrong(scene, "pixels");
    mark->pixels = (const uint8_t *)pixels->data;
    mark->rows = (int)pixels->shape[0];
    mark->columns = (int)pixels->shape[1];
    return true;
}

static bool read_mark(Scene *scene, Value v)
{
    DrawMark *mark = &scene->mark[scene->count];
    int numbers = 2;
    Value text;
    if (v.tag != TAG_MAP) return wrong(scene, "map");
    const Map *map = v.map;
    if (!read_kind(scene, map, mark, &numbers) || !read_points(scene, map, mark, numbers) ||
        !read_colors(scene, map, mark) || !read_image(scene, map, mark))
        return false;
    mark->width = field_number(map, "width", 1);
    mark->size = field_number(map, "size", 11);
    mark->dash = field_number(map, "dash", 0);
    mark->align = field_number(map, "align", 0);
    mark->angle = field_number(map, "angle", 0);
    mark->bold = field_number(map, "bold", 0) != 0;
    mark->text = map_get_text(map, "text", &text) && text.tag == TAG_STRING ? text.string->text : NULL;
    if (mark->kind == DRAW_TEXT && !mark->text) return wrong(scene, "text");
    scene->count++;
    return true;
}

static bool keep(void *to, const void *data, size_t bytes)
{
    Text *out = to;
    text_add(out, data, bytes);
    return !out->failed;
}

static bool draw_scene(Scene *scene, const PlotModule *plot, const Value *args, Value *result)
{
    char why[DRAW_WHY];
    Text out = {0};
    double width = 0, height = 0, scale = 1;
    value_to_double(args[1], &width);
    value_to_double(args[2], &height);
    value_to_double(args[4], &scale);
    bool fine = plot->draw(scene->mark, scene->count, width, height, args[3].string->text, scale, keep, &out, why)
             || vm_fail(scene->vm, ERROR_io, "draw", "%s", why);
    int64_t size = (int64_t)out.length;
    Tensor *bytes = fine ? tensor_from_data(vm_tensors(scene->vm), DTYPE_u8, 1, &size, out.at) : NULL;
    text_free(&out);
    return bytes && native_give(scene->vm, value_from_tensor_take(bytes), result);
}

bool native__draw(Vm *vm, const Value *args, Value *result)
{
    const PlotModule *plot = runtime_open_module(&vm_tensors(vm)->error, "plot");
    if (!plot) return false;
    if (args[0].tag != TAG_LIST) return native_wants(vm, "_draw", "marks", "a list", args[0]);
    const List *list = args[0].list;
    Scene scene = {.vm = vm};
    scene.mark = calloc((size_t)list->count + 1, sizeof *scene.mark);
    scene.held = calloc(4 * (size_t)list->count + 1, sizeof(Tensor *));
    bool fine = (scene.mark && scene.held) || vm_out_of_memory(vm);
    for (int64_t i = 0; fine && i < list->count; i++) fine = read_mark(&scene, list->at[i]);
    fine = fine && draw_scene(&scene, plot, args, result);
    for (int i = 0; i < scene.n_held; i++) tensor_release(scene.held[i]);
    free(scene.held);
    free(scene.mark);
    return fine;
}

/* ---- texts ---- */

bool native__one_line(Vm *vm, const Value *args, Value *result)
{
    Text out = {0};
    print_line(&out, args[0].string->text, args[0].string->length, args[1].i);
    return native_give_text(vm, &out, result);
}

bool native__columns(Vm *vm, const Value *args, Value *result)
{
    (void)vm;
    *result = value_int(print_columns(args[0].string->text, args[0].string->length));
    return true;
}

/* Of DejaVu Sans, in hundredths of the size, from the space on: what pictures are laid out by, whatever font shows them. */
static const uint8_t letter_widths[] = {
    32, 40, 46, 84, 64, 95, 78, 28, 39, 39, 50, 84, 32, 36, 32, 34, 64, 64, 64, 64, 64, 64, 64, 64,
    64, 64, 34, 34, 84, 84, 84, 53, 100, 68, 69, 70, 77, 63, 58, 78, 75, 30, 30, 66, 56, 86, 75, 79,
    60, 79, 70, 64, 61, 73, 68, 99, 68, 61, 68, 39, 34, 39, 84, 50, 50, 61, 64, 55, 64, 62, 35, 64,
    63, 28, 28, 58, 28, 97, 63, 61, 64, 64, 41, 52, 39, 63, 59, 82, 59, 59, 52, 64, 34, 64, 84,
};

static double letter_width(uint32_t c)
{
    if (c >= ' ' && c - ' ' < sizeof letter_widths) return letter_widths[c - ' '];
    return c < ' ' ? 0 : utf8_width(c) == 2 ? 100 : utf8_width(c) * 64;
}

bool native__text_width(Vm *vm, const Value *args, Value *result)
{
    const String *text = args[0].string;
    double size = 11, sum = 0;
    (void)vm;
    value_to_double(args[1], &size);
    for (size_t i = 0; i < text->length;) {
        uint32_t c;
        int n = utf8_decode(text->text + i, text->length - i, &c);
        sum += n ? letter_width(c) : 0;
        i += n ? (size_t)n : 1;
    }
    *result = value_float(sum / 100 * size * (args[2].b ? 1.1 : 1));
    return true;
}
