/* process/spawn.c: the start of the zygote.
 *
 * Flow     filch_process_executor -> spawn_first: what the options say is kept: the numbers in a file, the environment with
 *          ZYGOTE_VARIABLE, directory, output. Then spawn: a socket with SETUP in it, the program once more; and HELLO is waited
 *          for. keeper.c -> spawn: the same for each next one, and HELLO comes when it comes.
 * Source   the program is started by its path /proc/self/exe, so that it is the same one after a rename or chdir. */
#include "error.h"
#include "os/bell.h"
#include "os/child.h"
#include "os/clock.h"
#include "os/memory.h"
#include "os/process.h"
#include "os/shm.h"
#include "os/socket.h"
#include "process/module.h"
#include "process/pool.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>

/* The file ----------------------------------------------------------------------------------------- */

static size_t setup_size(const filch_process_options *o) {
    size_t size = filch__setup_argument((uint32_t)o->limit_count) + o->initializer_arg_size +
                  CHANNEL_PAGE - 1;
    return size & ~(size_t)(CHANNEL_PAGE - 1);
}

static int name_functions(const filch_process_options *o, struct filch__setup *setup) {
    int rc = 0;
    setup->has_preload = o->preload != NULL;
    setup->has_initializer = o->initializer != NULL;
    if (setup->has_preload) rc = filch__function_name((void (*)(void))o->preload, &setup->preload);
    if (rc == 0 && setup->has_initializer)
        rc = filch__function_name((void (*)(void))o->initializer, &setup->initializer);
    return rc;
}

static int fill_setup(const struct filch__processes *p, const filch_process_options *o,
                      struct filch__setup *setup) {
    struct filch__setup_limit *limits = (void *)((char *)setup + filch__setup_limits());
    setup->program = filch__process_id();
    setup->max_workers = (int32_t)p->max;
    setup->worker_limit = (int32_t)p->limit;
    setup->limit_count = (uint32_t)o->limit_count;
    setup->max_tasks = (uint64_t)o->max_tasks_per_worker;
    setup->memory_limit = o->memory_limit;
    setup->spin = p->spin;
    setup->argument_size = o->initializer_arg_size;
    for (size_t i = 0; i < o->limit_count; i++)
        limits[i] = (struct filch__setup_limit){.resource = o->limits[i].resource,
                                                .soft = o->limits[i].soft,
                                                .hard = o->limits[i].hard};
    if (o->initializer_arg_size != 0)
        memcpy((char *)setup + filch__setup_argument(setup->limit_count), o->initializer_arg,
               o->initializer_arg_size);
    return name_functions(o, setup);
}

static int no_memory(const char *what) {
    return filch__error(FILCH_ENOMEM, "filch_process_executor: no memory or descriptor for %s: %s",
                        what, strerror(errno));
}

/* The options, in a file of their own. */
static int keep_setup(struct filch__processes *p, const filch_process_options *o) {
    size_t size = setup_size(o);
    int error = filch__shm_create("filch-setup", size, &p->origin.setup);
    if (error != 0) {
        errno = error;
        return no_memory("the options");
    }
    struct filch__setup *setup = filch__shm_map(p->origin.setup, 0, size, true, NULL);
    int rc = setup == NULL ? no_memory("the options") : fill_setup(p, o, setup);
    if (setup != NULL) filch__unmap(setup, size);
    return rc;
}

/* The environment ---------------------------------------------------------------------------------- */

#define VARIABLE_LENGTH (sizeof ZYGOTE_VARIABLE - 1)

static bool is_variable(const char *line) {
    return strncmp(line, ZYGOTE_VARIABLE, VARIABLE_LENGTH) == 0 && line[VARIABLE_LENGTH] == '=';
}

/* The lines with ours at the end: an array and what it points to, in one block. NULL: no memory. */
static char **copy_environment(const char *const *lines) {
    static char own[] = ZYGOTE_VARIABLE "=3";
    size_t n = 0, used = 0, bytes = 0;
    if (lines == NULL) lines = (const char *const *)environ;
    for (; lines != NULL && lines[n] != NULL; n++) bytes += strlen(lines[n]) + 1;
    char **all = filch__alloc((n + 2) * sizeof *all + bytes);
    if (all == NULL) return NULL;
    char *text = (char *)(all + n + 2);
    for (size_t i = 0; i < n; i++) {
        if (is_variable(lines[i])) continue;
        all[used++] = text;
        text = stpcpy(text, lines[i]) + 1;
    }
    all[used++] = own;
    all[used] = NULL;
    return all;
}

/* Start and answer --------------------------------------------------------------------------------- */

static int start_failed(int error) {
    return filch__error(error == ENOMEM ? FILCH_ENOMEM : FILCH_EAGAIN,
                        "filch_process_executor: the program could not be started once more: %s",
                        strerror(error));
}

/* The current directory may be one that cannot be entered again. */
static bool is_current(const char *directory) {
    char *current = filch__directory_path(".");
    bool same = current != NULL && strcmp(current, directory) == 0;
    filch__free(current);
    return same;
}

static int start(struct filch__processes *p, int theirs) {
    static char name[] = "filch-zygote";
    char *argv[] = {name, NULL};
    int fds[ZYGOTE_SOCKET + 1] = {-1, p->origin.output, p->origin.error, theirs};
    const char *directory = p->origin.directory;
    if (directory != NULL && is_current(directory)) directory = NULL;
    struct filch__start how = {.argv = argv,
                               .envp = p->origin.environment,
                               .directory = directory,
                               .fds = fds,
                               .fd_count = ZYGOTE_SOCKET + 1};
    int error = filch__process_start_apart(&how, &p->zygote_pid, &p->zygote_watch);
    return error != 0 ? start_failed(error) : 0;
}

int64_t filch__zygote_patience = 10000000000;

static int hear(struct filch__processes *p) {
    struct filch__packet packet;
    bool ready;
    int n = 0;
    long size = -EAGAIN;
    int64_t deadline = filch__deadline(filch__zygote_patience);
    while (size == -EAGAIN) {
        if (!filch__fds_wait(&p->zygote_socket, 1, &ready, deadline))
            return filch__error(
                FILCH_EBROKEN,
                "filch_process_executor: the zygote has not answered within %g s: does preload return, "
                "and is filch_main(&argc, &argv); the first statement of main?",
                (double)filch__zygote_patience / 1e9);
        size = filch__socket_receive(p->zygote_socket, &packet, sizeof packet, NULL, &n);
    }
    if (size != (long)sizeof packet || packet.kind != PACKET_HELLO)
        return filch__error_constant(
            FILCH_EBROKEN, "filch_process_executor: the zygote has ended before it answered: is "
                           "filch_main(&argc, &argv); the first statement of main?");
    packet.text[sizeof packet.text - 1] = 0;
    if (packet.number == 0) return 0;
    return filch__error(FILCH_EBROKEN, "filch_process_executor: the zygote could not start: %s",
                        packet.text);
}

int filch__spawn(struct filch__processes *p) {
    struct filch__packet packet = {.kind = PACKET_SETUP};
    int ends[2], error = filch__socket_pair(ends);
    if (error != 0) {
        errno = error;
        return no_memory("a socket");
    }
    p->zygote_socket = ends[0];
    error = filch__socket_send(ends[0], &packet, sizeof packet, &p->origin.setup, 1);
    int rc = error != 0 ? start_failed(error) : start(p, ends[1]);
    filch__fd_close(ends[1]);
    return rc;
}

/* What is kept ------------------------------------------------------------------------------------- */

/* What is to become the output, or the error, of zygotes; a duplicate, since the program may close its own and use
 * their numbers again. It stays -1, and they get /dev/null, where the program has closed its own. */
static bool keep_stream(int wanted, int own, int *kept) {
    if (wanted == 0 && !filch__fd_is_open(own)) return true;
    *kept = filch__fd_duplicate(wanted != 0 ? wanted : own);
    return *kept >= 0;
}

static int keep_files(struct filch__origin *origin, const filch_process_options *o) {
    if (keep_stream(o->output, 1, &origin->output) && keep_stream(o->error, 2, &origin->error))
        return 0;
    return errno == EMFILE ? no_memory("output and error") : start_failed(errno);
}

static int keep(struct filch__processes *p, const filch_process_options *o) {
    struct filch__origin *origin = &p->origin;
    int rc = keep_setup(p, o);
    if (rc == 0) rc = keep_files(origin, o);
    if (rc != 0) return rc;
    /* Where the current directory has no path any more, zygotes start in what is the current one by then. */
    origin->directory = filch__directory_path(o->directory != NULL ? o->directory : ".");
    origin->environment = copy_environment(o->environment);
    bool complete =
        origin->environment != NULL && (origin->directory != NULL || o->directory == NULL);
    return complete ? 0 : start_failed(ENOMEM);
}

void filch__spawn_forget(struct filch__processes *p) {
    struct filch__origin *origin = &p->origin;
    filch__fd_close(origin->setup);
    filch__fd_close(origin->output);
    filch__fd_close(origin->error);
    filch__free(origin->directory);
    filch__free(origin->environment);
    *origin = (struct filch__origin){-1, -1, -1, NULL, NULL};
}

/* The first ---------------------------------------------------------------------------------------- */

static void kill_zygote(const struct filch__processes *p) {
    bool ready;
    filch__process_kill_watched(p->zygote_watch, 9);
    filch__fds_wait(&p->zygote_watch, 1, &ready, filch__deadline(filch__zygote_patience));
}

int filch__spawn_first(struct filch__processes *p, const filch_process_options *o) {
    int rc = keep(p, o);
    if (rc == 0) rc = filch__spawn(p);
    if (rc != 0) return rc;
    rc = hear(p);
    if (rc != 0) kill_zygote(p);
    return rc;
}
