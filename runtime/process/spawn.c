/* process/spawn.c: the start of the zygote.
 *
 * Flow     filch_process_executor -> filch__spawn: the options into a file, the program once more with ZYGOTE_VARIABLE in its
 *          environment, SETUP; then HELLO is waited for.
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

/* Nanoseconds that the zygote may take until it answers, preload included: 10 s. */
#define PATIENCE 10000000000

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
static int make_setup(const struct filch__processes *p, const filch_process_options *o, int *fd) {
    size_t size = setup_size(o);
    int error = filch__shm_create("filch-setup", size, fd);
    if (error != 0) {
        errno = error;
        return no_memory("the options");
    }
    struct filch__setup *setup = filch__shm_map(*fd, 0, size, true, NULL);
    int rc = setup == NULL ? no_memory("the options") : fill_setup(p, o, setup);
    if (setup != NULL) filch__unmap(setup, size);
    if (rc != 0) filch__fd_close(*fd);
    return rc;
}

/* The environment ---------------------------------------------------------------------------------- */

#define VARIABLE_LENGTH (sizeof ZYGOTE_VARIABLE - 1)

static bool is_variable(const char *line) {
    return strncmp(line, ZYGOTE_VARIABLE, VARIABLE_LENGTH) == 0 && line[VARIABLE_LENGTH] == '=';
}

/* The lines with ours at the end; only the array is new. NULL: no memory. */
static char **make_environment(const char *const *lines) {
    static char own[] = ZYGOTE_VARIABLE "=3";
    size_t n = 0, used = 0;
    if (lines == NULL) lines = (const char *const *)environ;
    while (lines != NULL && lines[n] != NULL) n++;
    char **all = filch__alloc((n + 2) * sizeof *all);
    if (all == NULL) return NULL;
    for (size_t i = 0; i < n; i++)
        if (!is_variable(lines[i])) all[used++] = (char *)(uintptr_t)lines[i];
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

/* What becomes the zygote's output, or error; -1: it gets /dev/null, since the program has closed its own. */
static int stream(int wanted, int own) {
    if (wanted != 0) return wanted;
    return filch__fd_is_open(own) ? own : -1;
}

static int start(struct filch__processes *p, const filch_process_options *o, int theirs) {
    static char name[] = "filch-zygote";
    char *argv[] = {name, NULL};
    int fds[ZYGOTE_SOCKET + 1] = {-1, stream(o->output, 1), stream(o->error, 2), theirs};
    char **environment = make_environment(o->environment);
    if (environment == NULL) return start_failed(ENOMEM);
    struct filch__start how = {.argv = argv,
                               .envp = environment,
                               .directory = o->directory,
                               .fds = fds,
                               .fd_count = ZYGOTE_SOCKET + 1};
    int error = filch__process_start_apart(&how, &p->zygote_pid);
    filch__free(environment);
    return error != 0 ? start_failed(error) : 0;
}

static int hear(struct filch__processes *p) {
    struct filch__packet packet;
    bool ready;
    int n = 0;
    long size = -EAGAIN;
    int64_t deadline = filch__deadline(PATIENCE);
    while (size == -EAGAIN) {
        if (!filch__fds_wait(&p->zygote_socket, 1, &ready, deadline))
            return filch__error_constant(
                FILCH_EBROKEN,
                "filch_process_executor: the zygote has not answered within 10 s: does preload return, "
                "and is filch_main(&argc, &argv); the first statement of main?");
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

static void kill_zygote(struct filch__processes *p) {
    bool ready;
    filch__process_kill(p->zygote_pid, 9);
    if (p->zygote_watch >= 0)
        filch__fds_wait(&p->zygote_watch, 1, &ready, filch__deadline(PATIENCE));
}

int filch__spawn(struct filch__processes *p, const filch_process_options *o) {
    struct filch__packet packet = {.kind = PACKET_SETUP};
    int ends[2], setup;
    int rc = make_setup(p, o, &setup);
    if (rc != 0) return rc;
    int error = filch__socket_pair(ends);
    if (error != 0) {
        errno = error;
        filch__fd_close(setup);
        return no_memory("a socket");
    }
    p->zygote_socket = ends[0];
    error = filch__socket_send(ends[0], &packet, sizeof packet, &setup, 1);
    filch__fd_close(setup);
    rc = error != 0 ? start_failed(error) : start(p, o, ends[1]);
    filch__fd_close(ends[1]);
    if (rc != 0) return rc;
    p->zygote_watch = filch__process_watch(p->zygote_pid);
    rc = p->zygote_watch < 0 && errno != ESRCH ? no_memory("the zygote's end") : hear(p);
    if (rc != 0) kill_zygote(p);
    return rc;
}
