/* zygote_test.c: the process from which workers are forked: its start and end, and the ends of its workers.
 *
 * SPDX-License-Identifier: MIT */
#include "worker_support.h"

#include <errno.h>
#include <fcntl.h>
#include <filch/executor.h>
#include <filch/future.h>
#include <sys/resource.h>

TestSuite(zygote, .timeout = 60);

/* Ends of workers ---------------------------------------------------------------------------------- */

static int crash(void *arg, void *result) {
    (void)result;
    signal(SIGSEGV, SIG_DFL); /* also where a sanitizer watches */
    signal(SIGABRT, SIG_DFL);
    switch (*(int *)arg) {
    case 0: raise(SIGSEGV); break;
    case 1: abort();
    case 2: exit(7);
    case 3: _exit(8);
    case 4: raise(SIGKILL); break;
    case 5: raise(SIGPIPE); break;
    }
    return 0;
}
static int do_nothing(void *arg, void *result) {
    (void)arg, (void)result;
    return 0;
}
Test(zygote, says_how_a_worker_has_ended) {
    static const int codes[] = {CLD_KILLED, CLD_KILLED, CLD_EXITED,
                                CLD_EXITED, CLD_KILLED, CLD_KILLED};
    static const int numbers[] = {SIGSEGV, SIGABRT, 7, 8, SIGKILL, SIGPIPE};
    struct zygote_play z = zygote_with((struct zygote_options){
        .limits = &(struct filch__setup_limit){.resource = RLIMIT_CORE}, .limit_count = 1});
    for (int i = 0; i < 6; i++) {
        struct life w = life_start(&z, (uint32_t)i);
        post(&w, 0, crash, &i, sizeof i, 0);
        check_died(&w, codes[i], numbers[i]);
        cr_assert_eq(filch__claim_state(&w.channel, 0, w.generation), CLAIM_TAKEN);
    }
    zygote_end(&z);
}

/* exit() in a task: what stands in the streams is written, and the default executor of the worker ends. */
static int open_and_exit(void *arg, void *result) {
    filch_future *f = NULL;
    int n = 1;
    (void)result;
    if (freopen(arg, "w", stdout) == NULL) return 3;
    if (filch_submit(NULL, do_nothing, &n, sizeof n, 0, &f) != 0) return 1;
    if (filch_future_result(f, NULL, FILCH_FOREVER) != 0) return 2;
    printf("last words");
    exit(9);
}
Test(zygote, exit_in_a_task_is_the_end_of_the_worker) {
    struct zygote_play z = zygote_with((struct zygote_options){0});
    char path[] = "/tmp/filch-zygote-XXXXXX", text[20] = "";
    int file = mkstemp(path);
    cr_assert_geq(file, 0);
    struct life w = life_start(&z, 0);
    post(&w, 0, open_and_exit, path, sizeof path, 0);
    check_died(&w, CLD_EXITED, 9);
    cr_assert_eq(read(file, text, sizeof text), 10);
    cr_assert_str_eq(text, "last words");
    close(file);
    unlink(path);
    zygote_end(&z);
}

/* Without end, which the compiler must not find out. */
static volatile int depth;
static int deeper(volatile char *above) {
    volatile char here[4096];
    here[0] = above[0];
    if (depth++ < 0) return 0;
    return deeper(here) + here[0];
}
static int overflow(void *arg, void *result) {
    volatile char here = 0;
    (void)arg, (void)result;
    signal(SIGSEGV, SIG_DFL);
    return deeper(&here);
}
Test(zygote, a_stack_that_overflows_is_a_signal) {
    /* Where stacks have no limit this would take all memory. */
    struct filch__setup_limit limits[] = {
        {.resource = RLIMIT_CORE}, {.resource = RLIMIT_STACK, .soft = 4 << 20, .hard = UINT64_MAX}};
    struct rlimit stack;
    getrlimit(RLIMIT_STACK, &stack);
    limits[1].hard = stack.rlim_max;
    struct zygote_play z = zygote_with((struct zygote_options){.limits = limits, .limit_count = 2});
    struct life w = life_start(&z, 0);
    post(&w, 0, overflow, NULL, 0, 0);
    check_died(&w, CLD_KILLED, SIGSEGV);
    zygote_end(&z);
}

/* What it has published before stays to be read. */
Test(zygote, a_result_outlives_its_worker) {
    struct zygote_play z = zygote_with((struct zygote_options){0});
    struct life w = life_start(&z, 0);
    int how = 3;
    post(&w, 0, do_nothing, NULL, 0, 0);
    post(&w, 1, crash, &how, sizeof how, 0);
    post(&w, 2, do_nothing, NULL, 0, 0);
    check_died(&w, CLD_EXITED, 8);
    struct answer a = take_answer(&w, MESSAGE_RESULT);
    cr_assert_eq(a.head.ticket, 0);
    bool broken;
    cr_assert_null(filch__channel_read_up(&w.channel, &broken));
    cr_assert_eq(filch__claim_state(&w.channel, 1, w.generation - 1), CLAIM_TAKEN);
    cr_assert_eq(filch__claim_state(&w.channel, 2, w.generation), CLAIM_POSTED);
    zygote_end(&z);
}

static int fork_a_child(void *arg, void *result) {
    (void)arg;
    pid_t child = fork();
    int status;
    if (child == 0) return 5; /* goes no further, and sends nothing */
    waitpid(child, &status, 0);
    *(int *)result = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    return 0;
}
Test(zygote, a_task_may_fork) {
    struct zygote_play z = zygote_with((struct zygote_options){0});
    struct life w = life_start(&z, 0);
    for (int i = 0; i < 5; i++) {
        struct answer a = run_in(&w, fork_a_child, NULL, 0, sizeof(int));
        cr_assert_eq(a.head.code, 0);
        cr_assert_eq(*(int *)(void *)a.value, 1);
    }
    post_quit(&w);
    check_died(&w, CLD_EXITED, 0);
    zygote_end(&z);
}

Test(zygote, quits_and_is_killed_on_request) {
    struct zygote_play z = zygote_with((struct zygote_options){0});
    struct life w[3] = {life_start(&z, 0), life_start(&z, 1), life_start(&z, 2)};
    post_quit(&w[1]);
    check_died(&w[1], CLD_EXITED, 0);
    struct filch__packet packet = {.kind = PACKET_KILL, .slot = 0, .life = w[0].number + 99};
    cr_assert_eq(filch__socket_send(z.socket, &packet, sizeof packet, NULL, 0), 0);
    packet = (struct filch__packet){.kind = PACKET_KILL, .slot = 2, .life = w[2].number};
    cr_assert_eq(filch__socket_send(z.socket, &packet, sizeof packet, NULL, 0), 0);
    check_died(&w[2], CLD_KILLED, SIGKILL);
    cr_assert(is_alive(w[0].pid), "that life was not meant");
    struct answer a = run_in(&w[0], do_nothing, NULL, 0, 0);
    cr_assert_eq(a.head.code, 0);
    zygote_end(&z);
}

/* The end of everything ---------------------------------------------------------------------------- */

static int stay(void *arg, void *result) {
    (void)arg, (void)result;
    for (;;) pause();
    return 0;
}

Test(zygote, workers_end_with_the_socket) {
    struct zygote_play z = zygote_with((struct zygote_options){0});
    struct life w[3] = {life_start(&z, 0), life_start(&z, 1), life_start(&z, 2)};
    post(&w[1], 0, stay, NULL, 0, 0);
    kill(w[2].pid, SIGSTOP);
    zygote_end(&z);
    for (int i = 0; i < 3; i++) check_ends(w[i].pid);
}

Test(zygote, workers_end_with_the_zygote) {
    struct zygote_play z = zygote_with((struct zygote_options){0});
    struct life w[3] = {life_start(&z, 0), life_start(&z, 1), life_start(&z, 2)};
    post(&w[1], 0, stay, NULL, 0, 0);
    kill(w[2].pid, SIGSTOP);
    kill(z.pid, SIGKILL);
    check_ends(z.pid);
    for (int i = 0; i < 3; i++) check_ends(w[i].pid);
    struct filch__packet packet;
    cr_assert_leq(next_packet(&z, &packet), 0);
    free_sides();
}

/* A child of the program keeps the socket open, but not the program alive. */
Test(zygote, workers_end_with_the_program) {
    int program = fork();
    cr_assert_geq(program, 0);
    if (program == 0) {
        pause();
        _exit(0);
    }
    struct zygote_play z = zygote_with((struct zygote_options){.program = program});
    struct life w[2] = {life_start(&z, 0), life_start(&z, 1)};
    post(&w[1], 0, stay, NULL, 0, 0);
    kill(program, SIGKILL);
    waitpid(program, NULL, 0);
    check_ends(z.pid);
    for (int i = 0; i < 2; i++) check_ends(w[i].pid);
    free_sides();
}

/* Start -------------------------------------------------------------------------------------------- */

static int preloaded;
static int preload_once(void) {
    preloaded++;
    printf("%s", ""); /* what stays in a buffer is not the workers' */
    return 0;
}
static int tell_preloaded(void *arg, void *result) {
    (void)arg;
    *(int *)result = preloaded;
    return 0;
}
static int fail_preload(void) {
    return 17;
}
static int end_in_preload(void) {
    _exit(3);
}

Test(zygote, preload_runs_once_for_all) {
    struct zygote_play z = zygote_with((struct zygote_options){.preload = preload_once});
    for (uint32_t i = 0; i < 3; i++) {
        struct life w = life_start(&z, i);
        struct answer a = run_in(&w, tell_preloaded, NULL, 0, sizeof(int));
        cr_assert_eq(*(int *)(void *)a.value, 1);
    }
    cr_assert_eq(preloaded, 0);
    zygote_end(&z);
}

Test(zygote, preload_that_fails_is_told) {
    struct zygote_play z;
    struct filch__packet packet =
        zygote_start(&z, (struct zygote_options){.preload = fail_preload});
    cr_assert_eq(packet.number, 17);
    cr_assert_str_eq(packet.text, "preload has returned 17");
    check_ends(z.pid);
    cr_assert_leq(next_packet(&z, &packet), 0);
}

Test(zygote, preload_that_ends_the_process_ends_the_socket) {
    struct zygote_play z;
    struct filch__packet packet;
    zygote_start_silent(&z, (struct zygote_options){.preload = end_in_preload});
    cr_assert_leq(next_packet(&z, &packet), 0);
    check_ends(z.pid);
}

struct greeting {
    char text[20];
    int code;
};
static struct greeting *greeted;
static int greet(void *arg) {
    greeted = arg;
    strcat(greeted->text, "!");
    return greeted->code;
}
static int tell_greeting(void *arg, void *result) {
    (void)arg;
    if (greeted != NULL) memcpy(result, greeted, sizeof *greeted);
    return 0;
}

Test(zygote, the_initializer_runs_in_each_worker) {
    struct greeting hello = {"hello", 0};
    struct zygote_play z = zygote_with((struct zygote_options){
        .initializer = greet, .argument = &hello, .argument_size = sizeof hello});
    for (uint32_t i = 0; i < 3; i++) {
        struct life w = life_start(&z, i);
        struct answer a = run_in(&w, tell_greeting, NULL, 0, sizeof hello);
        cr_assert_str_eq(a.value, "hello!");
    }
    zygote_end(&z);
}

Test(zygote, an_initializer_that_fails_is_told) {
    struct greeting hello = {"hello", 99};
    struct zygote_play z = zygote_with((struct zygote_options){
        .initializer = greet, .argument = &hello, .argument_size = sizeof hello});
    struct life w = life_send(&z, 0, 5);
    w.pid = packet_of(&z, PACKET_STARTED).pid;
    struct answer a = take_answer(&w, MESSAGE_READY);
    cr_assert_eq(a.head.code, 99);
    cr_assert_str_eq(a.text, "the initializer has returned 99");
    check_died(&w, CLD_EXITED, 0);
    zygote_end(&z);
}

static int tell_limit(void *arg, void *result) {
    struct rlimit limit;
    getrlimit((__rlimit_resource_t) * (int *)arg, &limit);
    ((uint64_t *)result)[0] = limit.rlim_cur;
    ((uint64_t *)result)[1] = limit.rlim_max;
    return 0;
}
Test(zygote, limits_are_the_workers) {
    struct filch__setup_limit limits[] = {{.resource = RLIMIT_CPU, .soft = 100, .hard = 200},
                                          {.resource = RLIMIT_NOFILE, .soft = 60, .hard = 70}};
    struct zygote_play z = zygote_with((struct zygote_options){.limits = limits, .limit_count = 2});
    struct life w = life_start(&z, 0);
    for (int i = 0; i < 2; i++) {
        struct answer a = run_in(&w, tell_limit, &limits[i].resource, sizeof(int), 16);
        cr_assert_eq(memcmp(a.value, &limits[i].soft, 16), 0);
    }
    zygote_end(&z);
}
Test(zygote, a_limit_that_is_refused_is_told) {
    struct filch__setup_limit limit = {.resource = 12345, .soft = 1, .hard = 1};
    struct zygote_play z = zygote_with((struct zygote_options){.limits = &limit, .limit_count = 1});
    struct life w = life_send(&z, 0, 5);
    struct answer a = take_answer(&w, MESSAGE_READY);
    cr_assert_eq(a.head.code, FILCH_EINVAL);
    cr_assert_not_null(strstr(a.text, "limit 0"), "%s", a.text);
    zygote_end(&z);
}

static int tell_place(void *arg, void *result) {
    const char *value = getenv("FILCH_TEST_PLACE");
    char here[100], *text = result;
    (void)arg;
    snprintf(text, 400, "%s %s %s %d", getcwd(here, sizeof here), value == NULL ? "none" : value,
             getenv(ZYGOTE_VARIABLE) == NULL ? "none" : "zygote", (int)read(0, here, 1));
    return 0;
}
Test(zygote, environment_directory_and_input) {
    struct zygote_play z = zygote_with(
        (struct zygote_options){.environment = "FILCH_TEST_PLACE=somewhere", .directory = "/usr"});
    struct life w = life_start(&z, 0);
    struct answer a = run_in(&w, tell_place, NULL, 0, 400);
    cr_assert_str_eq(a.value, "/usr somewhere none 0");
    zygote_end(&z);
}

/* The session is the zygote's own: what a terminal sends does not reach it. */
static int tell_session(void *arg, void *result) {
    (void)arg;
    *(int *)result = (int)getsid(0);
    return 0;
}
static int tell_signals(void *arg, void *result) {
    sigset_t set;
    int *wrong = result;
    (void)arg;
    sigprocmask(SIG_BLOCK, NULL, &set);
    for (int signal = 1; signal < 32; signal++) {
        struct sigaction action;
        if (sigismember(&set, signal) == 1) *wrong = 100 + signal;
        if (signal == SIGSEGV || signal == SIGBUS || signal == SIGFPE || signal == SIGILL) continue;
        if (sigaction(signal, NULL, &action) == 0 && action.sa_handler != SIG_DFL) *wrong = signal;
    }
    return 0;
}
Test(zygote, session_and_signals) {
    sigset_t set;
    sigfillset(&set);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    struct zygote_play z = zygote_with((struct zygote_options){0});
    struct life w = life_start(&z, 0);
    struct answer a = run_in(&w, tell_session, NULL, 0, sizeof(int));
    cr_assert_eq(*(int *)(void *)a.value, z.pid);
    a = run_in(&w, tell_signals, NULL, 0, sizeof(int));
    cr_assert_eq(*(int *)(void *)a.value, 0, "signal %d", *(int *)(void *)a.value);
    zygote_end(&z);
}

static int count_fds(void *arg, void *result) {
    (void)arg;
    for (int fd = 0; fd < 1000; fd++) *(int *)result += fcntl(fd, F_GETFD) >= 0;
    return 0;
}
Test(zygote, a_worker_has_its_own_descriptors_only) {
    struct zygote_play z = zygote_with((struct zygote_options){0});
    int counts[2];
    for (uint32_t i = 0; i < 2; i++) {
        struct life w = life_start(&z, i);
        struct answer a = run_in(&w, count_fds, NULL, 0, sizeof(int));
        counts[i] = *(int *)(void *)a.value;
    }
    cr_assert_eq(counts[0], 6, "three streams, the socket, two bells; not %d", counts[0]);
    cr_assert_eq(counts[1], 6, "%d", counts[1]);
    zygote_end(&z);
}

/* Retiring ----------------------------------------------------------------------------------------- */

Test(zygote, a_worker_retires_after_its_last_task) {
    struct zygote_play z = zygote_with((struct zygote_options){.max_tasks = 3});
    struct life w = life_start(&z, 0);
    for (int i = 0; i < 3; i++) run_in(&w, do_nothing, NULL, 0, 0);
    cr_assert_eq(next_message(&w)->kind, MESSAGE_RETIRE);
    done_with(&w);
    post(&w, 1, do_nothing, NULL, 0, 0);
    usleep(20000);
    cr_assert(filch__claim_revoke(&w.channel, 1, w.generation), "it was taken");
    post_quit(&w);
    check_died(&w, CLD_EXITED, 0);
    bool broken;
    cr_assert_null(filch__channel_read_up(&w.channel, &broken));
    zygote_end(&z);
}

static int grow(void *arg, void *result) {
    char *block = malloc(*(size_t *)arg);
    *(char **)result = block;
    if (block != NULL) memset(block, 1, *(size_t *)arg);
    return block == NULL;
}
Test(zygote, a_worker_that_has_grown_retires) {
    struct zygote_play z = zygote_with(
        (struct zygote_options){.memory_limit = filch__process_resident() + (64 << 20)});
    struct life w = life_start(&z, 0);
    size_t size = 1000;
    run_in(&w, grow, &size, sizeof size, sizeof(char *));
    size = 100 << 20;
    run_in(&w, grow, &size, sizeof size, sizeof(char *));
    cr_assert_eq(next_message(&w)->kind, MESSAGE_RETIRE);
    done_with(&w);
    post_quit(&w);
    check_died(&w, CLD_EXITED, 0);
    zygote_end(&z);
}

/* Many --------------------------------------------------------------------------------------------- */

/* More packets than the socket holds, while nobody reads: each is sent once, and STARTED before DIED. */
Test(zygote, nothing_is_lost_while_the_program_does_not_read) {
    enum { N = 300 };
    static struct life lives[N];
    static int seen[N];
    struct zygote_play z = zygote_with((struct zygote_options){0});
    for (int i = 0; i < N; i++) {
        int channel, ends[2];
        struct life *w = &lives[i];
        cr_assert_eq(filch__channel_create(&w->channel, &channel), 0);
        cr_assert_eq(filch__socket_pair(ends), 0);
        int fds[START_FDS] = {channel, z.common_fd, ends[1], z.manager, z.attendant};
        struct filch__packet packet = {.kind = PACKET_START, .slot = (uint32_t)i, .life = 1};
        while (filch__socket_send(z.socket, &packet, sizeof packet, fds, START_FDS) == EAGAIN)
            usleep(1000);
        filch__fd_close(channel);
        filch__fd_close(ends[0]);
        filch__fd_close(ends[1]);
        post_quit(w);
    }
    usleep(100000);
    for (int i = 0; i < 2 * N; i++) {
        struct filch__packet packet;
        cr_assert_eq(next_packet(&z, &packet), (long)sizeof packet);
        cr_assert_lt(packet.slot, N);
        cr_assert_eq(packet.kind, seen[packet.slot]++ == 0 ? PACKET_STARTED : PACKET_DIED);
    }
    zygote_end(&z);
}
