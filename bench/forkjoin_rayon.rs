// forkjoin_rayon.rs: the fork-join workloads on rayon, as its documentation has them: join for two halves,
// parallel iterators for several children and for loops, scope for many tasks, par_sort_unstable.
//
// Flow: a static library for contestant_rayon.c, whose ports these are; rayon_build.sh builds it. The serial
// parts are the program's own (fj_parts.h). A port enters the pool and returns when its job is done. A
// panic ends the program.
//
// SPDX-License-Identifier: MIT
use rayon::prelude::*;
use rayon::{join, scope, ThreadPool, ThreadPoolBuilder};
use std::arch::asm;
use std::os::raw::c_int;

// What C has in forkjoin.h and fj_parts.h -----------------------------------------------------------

#[repr(C)]
pub struct Shape {
    _opaque: [u8; 0],
}
unsafe impl Sync for Shape {}

#[repr(C)]
pub struct Job {
    n: u64,
    leaves: u64,
    expected: u64,
    shape: *const Shape,
    a: *mut f64,
    b: *mut f64,
    c: *mut f64,
    keys: *mut u64,
    scratch: *mut u64,
    input: *mut u64,
}
// Its tasks write to separate elements.
unsafe impl Sync for Job {}
const _: () = assert!(std::mem::size_of::<Job>() == 80);

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Board {
    column: [i8; 16],
}

#[repr(C)]
#[derive(Default)]
struct Node {
    state: [u8; 20],
    height: i32,
}

const TILE: u64 = 48;
const SORT_LEAF: usize = 2048;
const MERGE_LEAF: usize = 2048;

extern "C" {
    fn fj_place(board: *const Board, row: c_int, column: c_int, next: *mut Board) -> bool;
    fn fj_node_root(shape: *const Shape, root: *mut Node);
    fn fj_node_child(parent: *const Node, index: c_int, child: *mut Node);
    fn fj_node_children(shape: *const Shape, node: *const Node) -> c_int;
    fn fj_matmul_tile(job: *const Job, row: u64, column: u64);
    fn fj_sort_leaf(keys: *mut u64, n: u64);
    fn fj_merge_leaf(a: *const u64, a_n: u64, b: *const u64, b_n: u64, out: *mut u64);
    fn fj_lower_bound(keys: *const u64, n: u64, key: u64) -> u64;
    fn fj_squares(begin: i64, end: i64) -> u64;
    fn fj_uneven(job: *const Job, begin: i64, end: i64);
    fn fj_triad(job: *const Job, begin: i64, end: i64);
    fn fj_leaves(job: *const Job, begin: i64, end: i64);
    fn kernel_grain(n: u64) -> u64;
}

// The pool ------------------------------------------------------------------------------------------

// The default stack of 2 MiB is too small for the deepest unbalanced tree.
const STACK: usize = 64 << 20;

#[no_mangle]
pub extern "C" fn rayon_create(workers: c_int) -> *mut ThreadPool {
    let builder = ThreadPoolBuilder::new().num_threads(workers as usize).stack_size(STACK);
    match builder.build() {
        Ok(pool) => Box::into_raw(Box::new(pool)),
        Err(_) => std::ptr::null_mut(),
    }
}

/// # Safety
/// `pool` is of rayon_create, and is not used again.
#[no_mangle]
pub unsafe extern "C" fn rayon_destroy(pool: *mut ThreadPool) {
    drop(Box::from_raw(pool));
}

macro_rules! port {
    ($name:ident, $job:ident, $body:expr) => {
        /// # Safety
        /// Both are valid for the call.
        #[no_mangle]
        pub unsafe extern "C" fn $name(pool: *const ThreadPool, $job: *const Job) -> u64 {
            let $job = &*$job;
            (*pool).install(|| $body)
        }
    };
}

port!(rayon_fib, job, fib(job.n));
port!(rayon_nqueens, job, nqueens(&Board::default(), job.n as c_int, 0));
port!(rayon_skynet, job, skynet(0, job.n));
port!(rayon_uts, job, uts_root(&*job.shape));
port!(rayon_matmul, job, matmul(job, 0, 0, job.n, job.n));
port!(rayon_cilksort, job, cilksort(job));
port!(rayon_squares, job, squares(job.n));
port!(rayon_uneven, job, uneven(job));
port!(rayon_triad, job, triad(job));
port!(rayon_opaque, job, opaque(job));
port!(rayon_sort, job, sort_keys(job));
port!(rayon_tree, job, tree(job.n, job.leaves));
port!(rayon_flat, job, flat(job.n, job.leaves));
port!(rayon_loop, job, each_leaf(job));

// Recursion -----------------------------------------------------------------------------------------

fn fib(n: u64) -> u64 {
    if n < 2 {
        return n;
    }
    let (one, two) = join(|| fib(n - 1), || fib(n - 2));
    one + two
}

fn nqueens(board: &Board, n: c_int, row: c_int) -> u64 {
    if row == n {
        return 1;
    }
    (0..n)
        .into_par_iter()
        .map(|column| {
            let mut next = Board::default();
            if unsafe { fj_place(board, row, column, &mut next) } {
                nqueens(&next, n, row + 1)
            } else {
                0
            }
        })
        .sum()
}

fn skynet(first: u64, leaves: u64) -> u64 {
    if leaves == 1 {
        return first;
    }
    let part = leaves / 10;
    (0..10usize).into_par_iter().map(|i| skynet(first + i as u64 * part, part)).sum()
}

fn uts_below(shape: &Shape, node: &Node) -> u64 {
    let children = unsafe { fj_node_children(shape, node) };
    let below: u64 = (0..children)
        .into_par_iter()
        .map(|i| {
            let mut child = Node::default();
            unsafe { fj_node_child(node, i, &mut child) };
            uts_below(shape, &child)
        })
        .sum();
    1 + below
}

fn uts_root(shape: &Shape) -> u64 {
    let mut root = Node::default();
    unsafe { fj_node_root(shape, &mut root) };
    uts_below(shape, &root)
}

fn matmul(job: &Job, row: u64, column: u64, rows: u64, columns: u64) -> u64 {
    if rows <= TILE && columns <= TILE {
        unsafe { fj_matmul_tile(job, row, column) };
    } else if rows >= columns {
        let half = rows / 2;
        join(
            || matmul(job, row, column, half, columns),
            || matmul(job, row + half, column, rows - half, columns),
        );
    } else {
        let half = columns / 2;
        join(
            || matmul(job, row, column, rows, half),
            || matmul(job, row, column + half, rows, columns - half),
        );
    }
    0
}

// Merge sort ----------------------------------------------------------------------------------------

fn merge(a: &[u64], b: &[u64], out: &mut [u64]) {
    if a.len() < b.len() {
        return merge(b, a, out);
    }
    let (a_n, b_n) = (a.len() as u64, b.len() as u64);
    if a.len() + b.len() <= MERGE_LEAF {
        unsafe { fj_merge_leaf(a.as_ptr(), a_n, b.as_ptr(), b_n, out.as_mut_ptr()) };
        return;
    }
    let a_half = a.len() / 2;
    let b_half = unsafe { fj_lower_bound(b.as_ptr(), b_n, a[a_half]) } as usize;
    let (a_left, a_right) = a.split_at(a_half);
    let (b_left, b_right) = b.split_at(b_half);
    let (out_left, out_right) = out.split_at_mut(a_half + b_half);
    join(|| merge(a_left, b_left, out_left), || merge(a_right, b_right, out_right));
}

fn sort(keys: &mut [u64], scratch: &mut [u64]) {
    let n = keys.len();
    if n <= SORT_LEAF {
        unsafe { fj_sort_leaf(keys.as_mut_ptr(), n as u64) };
        return;
    }
    let (quarter, half) = (n / 4, n / 4 * 2);
    let (scratch_left, scratch_right) = scratch.split_at_mut(half);
    {
        let (left, right) = keys.split_at_mut(half);
        let ((one, two), (three, four)) = (left.split_at_mut(quarter), right.split_at_mut(quarter));
        let ((s_one, s_two), (s_three, s_four)) =
            (scratch_left.split_at_mut(quarter), scratch_right.split_at_mut(quarter));
        join(
            || join(|| sort(one, s_one), || sort(two, s_two)),
            || join(|| sort(three, s_three), || sort(four, s_four)),
        );
        join(|| merge(one, two, scratch_left), || merge(three, four, scratch_right));
    }
    merge(scratch_left, scratch_right, keys);
}

unsafe fn row<'a>(first: *mut u64, n: u64) -> &'a mut [u64] {
    std::slice::from_raw_parts_mut(first, n as usize)
}

fn cilksort(job: &Job) -> u64 {
    unsafe { sort(row(job.keys, job.n), row(job.scratch, job.n)) };
    0
}

fn sort_keys(job: &Job) -> u64 {
    unsafe { row(job.keys, job.n) }.par_sort_unstable();
    0
}

// Loops ---------------------------------------------------------------------------------------------

// The serial part takes ranges: this many iterations each.
const BLOCK: u64 = 4096;

fn block(i: usize, n: u64) -> (i64, i64) {
    let i = i as u64;
    ((i * BLOCK) as i64, n.min((i + 1) * BLOCK) as i64)
}

fn blocks(n: u64) -> usize {
    ((n + BLOCK - 1) / BLOCK) as usize
}

fn squares(n: u64) -> u64 {
    (0..blocks(n))
        .into_par_iter()
        .map(|i| {
            let (begin, end) = block(i, n);
            unsafe { fj_squares(begin, end) }
        })
        .sum()
}

fn uneven(job: &Job) -> u64 {
    (0..job.n as usize)
        .into_par_iter()
        .for_each(|i| unsafe { fj_uneven(job, i as i64, i as i64 + 1) });
    0
}

fn triad(job: &Job) -> u64 {
    (0..blocks(job.n)).into_par_iter().for_each(|i| {
        let (begin, end) = block(i, job.n);
        unsafe { fj_triad(job, begin, end) }
    });
    0
}

fn opaque(job: &Job) -> u64 {
    let count: u64 = (0..job.n as usize)
        .into_par_iter()
        .map(|_| {
            unsafe { asm!("nop", options(nomem, nostack, preserves_flags)) };
            1u64
        })
        .sum();
    unsafe { *job.scratch = count };
    0
}

fn each_leaf(job: &Job) -> u64 {
    (0..job.leaves as usize)
        .into_par_iter()
        .with_max_len(1)
        .for_each(|i| unsafe { fj_leaves(job, i as i64, i as i64 + 1) });
    0
}

// Leaves --------------------------------------------------------------------------------------------

fn tree(n: u64, leaves: u64) -> u64 {
    if leaves == 1 {
        return unsafe { kernel_grain(n) };
    }
    let (left, right) = join(|| tree(n, leaves / 2), || tree(n, leaves - leaves / 2));
    left + right
}

const FLAT: u64 = 1000;

fn flat(n: u64, leaves: u64) -> u64 {
    let mut results = [0u64; FLAT as usize];
    let (mut sum, mut done) = (0u64, 0);
    while done < leaves {
        let part = &mut results[..FLAT.min(leaves - done) as usize];
        scope(|s| {
            for slot in part.iter_mut() {
                s.spawn(move |_| *slot = unsafe { kernel_grain(n) });
            }
        });
        sum = part.iter().fold(sum, |sum, value| sum.wrapping_add(*value));
        done += part.len() as u64;
    }
    sum
}
