/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The program `tessera`: the command line, Ctrl-C, and exit statuses: 0 fine, 1 an error in what was run, 2 a wrong
   command line, 130 interrupted, else what exit(n) said. The language comes through lang.h alone; nothing is opened
   before it is needed, so that `tessera -e 1` takes milliseconds. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "repl.h"

enum { STATUS_ERROR = 1, STATUS_USAGE = 2, STATUS_INTERRUPTED = 130, STATUS_LEAK = 70 };

/* ---- Ctrl-C ---- */

static Session *volatile interruptible;      /* what the handler may interrupt */
static volatile sig_atomic_t taken, ignored;
static volatile time_t first_second;

/* The flag ends a statement within a tenth of a second. Whoever still waits after a second or more and presses
   again, and again, leaves the program. */
static void on_interrupt(int signal_number)
{
    static const char note[] = "\nstill busy; Ctrl-C once more leaves tessera\n";
    struct timespec t;
    int saved = errno;
    (void)signal_number;
    Session *session = interruptible;
    taken = 1;
    if (session) {
        session_interrupt(session);
        clock_gettime(CLOCK_MONOTONIC, &t);
        if (!ignored) {
            ignored = 1;
            first_second = t.tv_sec;
        } else if (t.tv_sec - first_second >= 1 && ignored == 1) {
            ignored = 2;
            if (write(STDERR_FILENO, note, sizeof note - 1) < 0) ignored = 2;
        } else if (ignored == 2) {
            _exit(STATUS_INTERRUPTED);
        }
    }
    errno = saved;
}

void interrupt_begin(Session *session)
{
    ignored = taken = 0;
    interruptible = session;
}

void interrupt_end(void)
{
    interruptible = NULL;
    taken = 0;
}

void interrupt_heeded(void)
{
    ignored = 0;
    if (interruptible && !session_interrupt_waits(interruptible)) taken = 0;
}

bool interrupt_taken(void)
{
    bool was = taken != 0;
    taken = 0;
    return was;
}

static void catch_interrupts(void)
{
    struct sigaction action = {.sa_handler = on_interrupt};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
}

/* ---- running ---- */

int program_show(Program *program, EvalStatus status, EvalResult *result)
{
    Screen *screen = &program->screen;
    screen_end_progress(screen);
    if (result->display) screen_show(screen, result->display);
    if (result->error) {
        if (screen->mid_line && screen->out_terminal) screen_output(screen, OUTPUT_OUT, "\n", 1);
        screen_output(screen, OUTPUT_ERR, result->error, strlen(result->error));
        screen_output(screen, OUTPUT_ERR, "\n", 1);
    }
    switch (status) {
    case EVAL_OK: return 0;
    case EVAL_INTERRUPTED: return STATUS_INTERRUPTED;
    case EVAL_EXIT: return result->exit_code;
    default: return STATUS_ERROR;
    }
}

int program_eval(Program *program, const char *name, const char *text, size_t length)
{
    EvalResult result = {0};
    interrupt_begin(program->session);
    EvalStatus status = session_eval(program->session, name, text, length, EVAL_INTERACTIVE, &result);
    interrupt_end();
    int code = program_show(program, status, &result);
    eval_result_clear(&result);
    return code;
}

static const char *library;

static void on_output(void *user, OutputStream stream, const char *text, size_t length)
{
    screen_output(&((Program *)user)->screen, stream, text, length);
}

static void on_flush(void *user)
{
    screen_flush(&((Program *)user)->screen);
}

static void on_progress(void *user, const Progressed *progress)
{
    screen_progress(&((Program *)user)->screen, progress);
}

static void on_display(void *user, const Display *display)
{
    screen_show(&((Program *)user)->screen, display);
}

static const char *on_picture(void *user)
{
    return screen_picture_forms(&((Program *)user)->screen);
}

static SessionConfig config_for(Program *program)
{
    return (SessionConfig){.user = program, .output = on_output, .flush = on_flush, .progress = on_progress,
                           .display = on_display, .picture_forms = on_picture, .input = prompt_input,
                           .next_input = prompt_next, .edit = program_edit, .library = library, .width = screen_width(&program->screen),
                           .color = program->screen.color};
}

static int fail_usage(const char *format, const char *word)
{
    fprintf(stderr, "tessera: ");
    fprintf(stderr, format, word);
    fprintf(stderr, "\nTry: tessera --help\n");
    return STATUS_USAGE;
}

bool program_open(Program *program)
{
    SessionConfig config = config_for(program);
    program->session = session_new(&config);
    if (!program->session) fputs("tessera: out of memory\n", stderr);
    else catch_interrupts();
    return program->session != NULL;
}

int program_close(Program *program, int status)
{
    session_free(program->session);
    screen_flush(&program->screen);
#ifdef TESSERA_DEBUG
    if (session_live_objects() != 0) {
        fprintf(stderr, "tessera: %lld objects are still alive\n", session_live_objects());
        return STATUS_LEAK;
    }
#endif
    return program_end(program, status);
}

int program_end(Program *program, int status)
{
    screen_take_notes(&program->screen);
    screen_flush(&program->screen);
    if (program->screen.out_error) {
        fprintf(stderr, "tessera: cannot write to standard output: %s\n", strerror(program->screen.out_error));
        return status ? status : STATUS_ERROR;
    }
    return status;
}

static Program program;

/* ---- commands ---- */

static int run_code(const char *name, const char *text, size_t length)
{
    if (!program_open(&program)) return STATUS_ERROR;
    return program_close(&program, program_eval(&program, name, text, length));
}

char *program_read(const char *path, size_t *length)
{
    size_t room = 1 << 14;
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : STDIN_FILENO;
    char *text = file >= 0 ? malloc(room) : NULL;
    *length = 0;
    while (text) {
        ssize_t got = read(file, text + *length, room - *length);
        if (got == 0) break;
        if (got < 0 && errno == EINTR) continue;
        if (got > 0) *length += (size_t)got;
        char *wider = got < 0 ? NULL : *length < room ? text : realloc(text, room *= 2);
        if (!wider) free(text);
        text = wider;
    }
    int saved = errno;
    if (path && file >= 0) close(file);
    errno = saved;
    return text;
}

static int run_stdin(void)
{
    size_t length;
    char *text = program_read(NULL, &length);
    if (!text) {
        fprintf(stderr, "tessera: cannot read standard input: %s\n", strerror(errno));
        return STATUS_ERROR;
    }
    int status = run_code("<stdin>", text, length);
    free(text);
    return status;
}

char *program_path(const char *variable, const char *home_folder, const char *name)
{
    const char *folder = getenv(variable), *home = getenv("HOME");
    char *path = NULL;
    int made = folder && *folder == '/' ? asprintf(&path, "%s/tessera/%s", folder, name)
               : home && *home ? asprintf(&path, "%s/%s/tessera/%s", home, home_folder, name) : -1;
    return made < 0 ? NULL : path;
}

/* The user's own start file. Whatever it does, a prompt follows. */
static void run_init(void)
{
    EvalResult result = {0};
    char *path = program_path("XDG_CONFIG_HOME", ".config", "init.tsr");
    if (path && access(path, F_OK) == 0) {
        interrupt_begin(program.session);
        EvalStatus status = session_run_file(program.session, path, 0, NULL, &result);
        interrupt_end();
        program_show(&program, status, &result);
        eval_result_clear(&result);
    }
    free(path);
}

static int run_prompt(bool init)
{
    if (!program_open(&program)) return STATUS_ERROR;
    printf("Tessera %s   ?name explains, :help helps, Ctrl-D leaves\n", session_version());
    fflush(stdout);
    if (init) run_init();
    return program_close(&program, prompt_run(&program));
}

static const char main_help[] =
    "usage: tessera [--no-init]            a prompt (from a pipe: like tessera -)\n"
    "       tessera run FILE [OPTION ...]  run a script; its own options follow\n"
    "       tessera -e CODE                run CODE and print its last value\n"
    "       tessera -                      run standard input and print its last value\n"
    "       tessera debug FILE [OPTION ...]  the same, statement by statement\n"
    "       tessera check FILE ...         find mistakes without running anything\n"
    "       tessera test FILE ...          run the tests in files, or in a folder's *.tsr files\n"
    "       tessera fmt FILE ...           rewrite files in the one style; - for standard input\n"
    "       tessera doctor                 what this machine offers, and how fast it is\n"
    "       tessera editors DIR            write the files by which editors colour Tessera\n"
    "       tessera kernel [install]       a Jupyter kernel; put it into the launcher of Jupyter\n"
    "       tessera lsp                    a language server for editors, on standard input and output\n"
    "       tessera --help, --version      this page; the version\n"
    "\n"
    "tessera COMMAND --help says more. Before a command, --lib DIR reads the libraries from DIR.\n"
    "The prompt runs ~/.config/tessera/init.tsr first, if it is there; --no-init leaves it out.\n";

static const char run_help[] =
    "usage: tessera run [--prompt] FILE [OPTION ...]\n"
    "\n"
    "Runs a script; only what it prints is shown. examples/first.tsr and\n"
    "examples/fashion.tsr are built in. What a script declares with\n"
    "    option lr = 1e-3 \"learning rate\"\n"
    "is set by --lr 0.01 or --lr=0.01; tessera run FILE --help lists its options.\n"
    "--prompt: a prompt follows on a terminal, with the script's variables in scope.\n"
    "\n"
    "Exit status: 0; 1 after an error; 130 when interrupted; else what exit(n) said.\n";

static const char debug_help[] =
    "usage: tessera debug FILE [OPTION ...]\n"
    "\n"
    "Runs a script as tessera run does, but stops at its first statement and asks: :step, :next, :out and :continue go\n"
    "on, :break 12 or :break f says where to stop, :where and :locals show where it is; an expression is evaluated there.\n"
    "Ctrl-C stops where it is, :help lists the rest, :quit leaves.\n"
    "\n"
    "Exit status: that of tessera run; 130 after :quit.\n";

static const char check_help[] =
    "usage: tessera check FILE ...\n"
    "\n"
    "Shows what is wrong in each file (-: standard input) without running it: syntax, unknown names, arguments that do\n"
    "not fit, patterns, shapes and types that cannot go together; and warns of code that does nothing. Only what is\n"
    "certain is an error. Files that it uses are looked at; tessera check them for their own mistakes.\n"
    "\n"
    "Exit status: 0 without errors, warnings or not; 1 with errors, or when a file cannot be read.\n";

static const char test_help[] =
    "usage: tessera test FILE ...\n"
    "\n"
    "Runs each file (of a folder: its *.tsr files) as a script, then its blocks\n"
    "    test \"name\" { assert 1 + 1 == 2 }\n"
    "in order, each in a scope of its own that sees the file's names. An error fails only the test it is in, or the\n"
    "whole file when the script itself fails. A file without tests is not run; tessera run skips tests.\n"
    "\n"
    "Exit status: 0; 1 when something failed or there was no test at all; 130 when interrupted.\n";

static const char fmt_help[] =
    "usage: tessera fmt [--check] [--diff] FILE ... | -\n"
    "\n"
    "Rewrites each file in the one style of the language: line ends, indentation and spaces change, what the program\n"
    "means does not. A file with a syntax error is left alone. - formats standard input to standard output.\n"
    "--check: writes nothing, names the files that would change. --diff: writes nothing, shows the changes.\n"
    "\n"
    "Exit status: 0; 1 when a file could not be formatted or, with --check, would change.\n";

static const char editors_help[] =
    "usage: tessera editors DIR\n"
    "\n"
    "Writes to folders of DIR the files by which other editors colour Tessera: vscode, vim (Neovim too), emacs, pygments\n"
    "(nbconvert, jupyter console), jupyterlab and notebook, which tessera kernel install puts in place by itself. README.md\n"
    "there says what each editor does with them.\n"
    "\n"
    "Exit status: 0; 1 when a file cannot be written.\n";

static const char kernel_help[] =
    "usage: tessera kernel [-f FILE] [--output-limit BYTES]\n"
    "       tessera kernel install [--user | --prefix DIR | --sys-prefix] [--name NAME]\n"
    "       tessera kernel uninstall [the same]\n"
    "\n"
    "Without a command: a Jupyter kernel. -f: the connection file, as front ends give it; one that does not exist is made, on\n"
    "free ports. Without -f one is made where `jupyter console --existing` finds it.\n"
    "--output-limit: what one cell may write before its middle is left out (1048576; 0: no limit).\n"
    "\n"
    "install writes, uninstall removes the folder by which Jupyter finds Tessera and the extension that colours it in\n"
    "JupyterLab: for this user (the default), for all users of DIR, as in --prefix /usr/local, or in the active virtual or\n"
    "conda environment. JupyterLab, Notebook and VS Code then list it.\n"
    "\n"
    "Exit status: 0; 1 when the kernel cannot start, files cannot be written or there was nothing to remove.\n";

static const char lsp_help[] =
    "usage: tessera lsp [--stdio]\n"
    "\n"
    "The language server: an editor starts it and talks to it on standard input and output. It shows what tessera check\n"
    "finds, completes, documents, finds and renames names, shows inferred shapes, and formats; nothing of a program is\n"
    "run. docs/editors.md says how Neovim, Vim, Emacs, VS Code, Helix and Kate start it.\n"
    "\n"
    "Exit status: 0 after shutdown; 1 when it ends without.\n";

static const char doctor_help[] =
    "usage: tessera doctor\n"
    "\n"
    "Shows the version, threads, kernels, BLAS and the speed it reaches here, the memory for tensors, and which\n"
    "optional parts and data sets are found. Exit status 1 when something is missing.\n";

static const char code_help[] =
    "usage: tessera -e CODE\n"
    "       tessera - <FILE\n"
    "\n"
    "Runs CODE, or standard input, and prints the value of the last expression unless a ; mutes it.\n";

static int show(const char *text)
{
    fputs(text, stdout);
    return fflush(stdout) == 0 ? 0 : STATUS_ERROR;
}

static bool is_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

static int run_script(int argc, char **argv, bool debugged, EvalStatus *evaluated)
{
    EvalResult result = {0};
    interrupt_begin(program.session);
    if (debugged && session_debug_attach(program.session, true)) {
        session_debug_stop_at_entry(program.session);
        session_debug_pause_on_interrupt(program.session, true);
    }
    *evaluated = session_run_file(program.session, argv[0], argc - 1, argv + 1, &result);
    session_debug_pause_on_interrupt(program.session, false);
    interrupt_end();
    int status = program_show(&program, *evaluated, &result);
    eval_result_clear(&result);
    return status;
}

static int command_run(int argc, char **argv)
{
    bool prompt = argc > 0 && strcmp(argv[0], "--prompt") == 0;
    EvalStatus evaluated;
    if (prompt) {
        argc--;
        argv++;
    }
    if (argc > 0 && is_help(argv[0])) return show(run_help);
    if (argc == 0) return fail_usage("%s needs a file: tessera run FILE", "run");
    if (argv[0][0] == '-' && argv[0][1]) return fail_usage("unknown option '%s' before the file", argv[0]);
    if (!program_open(&program)) return STATUS_ERROR;
    int status = run_script(argc, argv, false, &evaluated);
    if (prompt && evaluated != EVAL_EXIT && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO)) {
        screen_flush(&program.screen);
        status = prompt_run(&program);
    }
    return program_close(&program, status);
}

static int command_debug(int argc, char **argv)
{
    EvalStatus evaluated;
    if (argc > 0 && is_help(argv[0])) return show(debug_help);
    if (argc == 0) return fail_usage("%s needs a file: tessera debug FILE", "debug");
    if (argv[0][0] == '-') return fail_usage("unknown option '%s' before the file", argv[0]);
    if (!program_open(&program)) return STATUS_ERROR;
    bool terminal = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
    if (terminal) prompt_open(&program);
    int status = run_script(argc, argv, true, &evaluated);
    if (terminal) prompt_close();
    return program_close(&program, status);
}

static int command_check(int argc, char **argv)
{
    if (argc > 0 && is_help(argv[0])) return show(check_help);
    if (argc == 0) return fail_usage("%s needs a file: tessera check FILE", "check");
    for (int i = 0; i < argc; i++)
        if (argv[i][0] == '-' && argv[i][1]) return fail_usage("check takes no '%s'", argv[i]);
    return check_run(&program, argc, argv);
}

static int command_test(int argc, char **argv)
{
    if (argc > 0 && is_help(argv[0])) return show(test_help);
    if (argc == 0) return fail_usage("%s needs a file: tessera test FILE", "test");
    for (int i = 0; i < argc; i++)
        if (argv[i][0] == '-') return fail_usage("test takes no '%s'", argv[i]);
    return test_run(&program, argc, argv);
}

static int command_fmt(int argc, char **argv)
{
    bool check = false, diff = false;
    if (argc > 0 && is_help(argv[0])) return show(fmt_help);
    for (; argc > 0 && argv[0][0] == '-' && argv[0][1]; argc--, argv++) {
        if (strcmp(argv[0], "--check") == 0) check = true;
        else if (strcmp(argv[0], "--diff") == 0) diff = true;
        else return fail_usage("fmt takes no '%s'", argv[0]);
    }
    if (argc == 0) return fail_usage("%s needs a file: tessera fmt FILE", "fmt");
    return format_run(&program, check, diff, argc, argv);
}

static int start_part(const char *name, int argc, char **argv)
{
    char *error;
    const FrontEnd *part = session_open_module(name, &error);
    if (part) return part->run(argc, argv, library);
    fprintf(stderr, "tessera: %s\n", error ? error : "out of memory");
    free(error);
    return STATUS_ERROR;
}

/* Signals wait until the kernel can take them: opening its libraries takes milliseconds, and a front end may interrupt
   from the first one on. */
static int start_kernel(int argc, char **argv)
{
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    return start_part("kernel", argc, argv);
}

static int command_lsp(int argc, char **argv)
{
    if (argc > 0 && is_help(argv[0])) return show(lsp_help);
    return start_part("lsp", argc, argv);
}

static int command_kernel(int argc, char **argv)
{
    if (argc > 0 && is_help(argv[0])) return show(kernel_help);
    if (argc > 0 && strcmp(argv[0], "install") == 0) return kernelspec_run(true, argc - 1, argv + 1);
    if (argc > 0 && strcmp(argv[0], "uninstall") == 0) return kernelspec_run(false, argc - 1, argv + 1);
    return start_kernel(argc, argv);
}

static int command_editors(int argc, char **argv)
{
    if (argc > 0 && is_help(argv[0])) return show(editors_help);
    if (argc == 0 || !*argv[0]) return fail_usage("%s needs a folder: tessera editors DIR", "editors");
    if (argc > 1 || argv[0][0] == '-') return fail_usage("editors takes no '%s'", argv[argc - 1]);
    return editors_run(argv[0]);
}

static int command_doctor(int argc, char **argv)
{
    if (argc > 0 && is_help(argv[0])) return show(doctor_help);
    if (argc > 0) return fail_usage("doctor takes no '%s'", argv[0]);
    SessionConfig config = config_for(&program);
    bool fine = session_doctor(&config);
    screen_flush(&program.screen);
    return fine && !program.screen.out_error ? 0 : STATUS_ERROR;
}

static int command_code(int argc, char **argv)
{
    if (argc == 0) return fail_usage("%s needs code: tessera -e CODE", "-e");
    if (is_help(argv[0])) return show(code_help);
    if (argc > 1) return fail_usage("what is '%s'? -e takes one piece of code; quote it", argv[1]);
    return run_code("<command line>", argv[0], strlen(argv[0]));
}

static int command_stdin(int argc, char **argv)
{
    if (argc > 0 && is_help(argv[0])) return show(code_help);
    if (argc > 0) return fail_usage("- takes no '%s'", argv[0]);
    return run_stdin();
}

static int command_version(int argc, char **argv)
{
    (void)argv;
    (void)argc;
    printf("tessera %s\n", session_version());
    return fflush(stdout) == 0 ? 0 : STATUS_ERROR;
}

static int command_help(int argc, char **argv);

static const struct { const char *word; int (*run)(int argc, char **argv); const char *help; } commands[] = {
    {"run", command_run, run_help},
    {"debug", command_debug, debug_help},
    {"check", command_check, check_help},
    {"test", command_test, test_help},
    {"fmt", command_fmt, fmt_help},
    {"editors", command_editors, editors_help},
    {"kernel", command_kernel, kernel_help},
    {"lsp", command_lsp, lsp_help},
    {"doctor", command_doctor, doctor_help},
    {"-e", command_code, code_help},
    {"-", command_stdin, code_help},
    {"help", command_help, main_help},
    {"--help", command_help, main_help},
    {"-h", command_help, main_help},
    {"version", command_version, main_help},
    {"--version", command_version, main_help},
    {"-V", command_version, main_help},
};

static int command_help(int argc, char **argv)
{
    for (size_t i = 0; argc > 0 && i < sizeof commands / sizeof *commands; i++)
        if (strcmp(argv[0], commands[i].word) == 0) return show(commands[i].help);
    return argc > 0 ? fail_usage("there is no command '%s'", argv[0]) : show(main_help);
}

/* A script as a command, so that #!/usr/bin/env tessera works; else an error. */
static int command_unknown(int argc, char **argv)
{
    size_t length = strlen(argv[0]);
    if (argv[0][0] == '-') return fail_usage("there is no option '%s'", argv[0]);
    bool script = length > 4 && strcmp(argv[0] + length - 4, ".tsr") == 0;
    if (script || (strchr(argv[0], '/') && access(argv[0], F_OK) == 0)) return command_run(argc, argv);
    return fail_usage("there is no command '%s'", argv[0]);
}

int main(int argc, char **argv)
{
    screen_open(&program.screen);
    argc--;
    argv++;
    if (argc >= 1 && strcmp(argv[0], "--lib") == 0) {
        if (argc < 2) return fail_usage("%s needs a folder", "--lib");
        library = argv[1];
        argc -= 2;
        argv += 2;
    }
    bool init = argc != 1 || strcmp(argv[0], "--no-init") != 0;
    if (argc == 0 || !init) return isatty(STDIN_FILENO) ? run_prompt(init) : run_stdin();
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strcmp(argv[0], commands[i].word) == 0) return commands[i].run(argc - 1, argv + 1);
    return command_unknown(argc, argv);
}
