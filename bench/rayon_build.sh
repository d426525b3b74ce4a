#!/bin/sh
# rayon_build.sh: builds forkjoin_rayon.rs and rayon into one static library, without a network.
#
# Flow: meson runs it as `rayon_build.sh CARGO REGISTRY SOURCE FOLDER OUTPUT`. REGISTRY is where Debian's
# packages of Rust libraries have their sources. Everything that cargo makes is in FOLDER.
#
# SPDX-License-Identifier: MIT
set -eu
cargo=$1 registry=$2 source=$3 folder=$4 output=$5

mkdir -p "$folder"
cat >"$folder/Cargo.toml" <<TEXT
[package]
name = "forkjoin_rayon"
version = "0.0.0"
edition = "2021"

[lib]
path = "$source"
crate-type = ["staticlib"]

[dependencies]
rayon = "1"

[profile.release]
opt-level = 3
codegen-units = 1
panic = "abort"

[workspace]
TEXT
mkdir -p "$folder/.cargo"
cat >"$folder/.cargo/config.toml" <<TEXT
[source.crates-io]
replace-with = "debian"
[source.debian]
directory = "$registry"
TEXT
cd "$folder"
"$cargo" build --release --offline --quiet
cp target/release/libforkjoin_rayon.a "$output"
