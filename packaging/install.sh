#!/bin/sh
# Installs the bookholder program for one user, in ~/.local/bin. Nothing else on the machine is changed.
#
#   sh install.sh                     the version that this file came with
#   sh install.sh --to /opt/bin       into another folder
#   sh install.sh --version 0.2.0     another version
#   sh install.sh --signers FILE      check the signature as well, against these keys (an OpenSSH allowed_signers file)
#
# INSTALL_URL is where the files of a release are: https://…, http://… or file://… (a stick, for example), with {version} for
# the version.
set -eu

version='@version@'
released='@url@'
url=${INSTALL_URL:-$released}
to=${HOME:-}/.local/bin
signers=

usage() { sed -n '2,10s/^# \{0,1\}//p' "$0"; }
fail() { echo "error: $1" >&2 && exit 1; }

while [ $# -gt 0 ]; do
    case $1 in
    --to | --signers | --version)
        [ $# -ge 2 ] || fail "$1 needs a value"
        case $1 in --to) to=$2 ;; --signers) signers=$2 ;; --version) version=$2 ;; esac
        shift 2 ;;
    -h | --help) usage && exit ;;
    *) fail "unknown option: $1 (--help lists them)" ;;
    esac
done
case $version in
'' | *[!0-9A-Za-z.+-]*) fail "invalid version \"$version\": write it as 0.1.0" ;;
esac
url=$(echo "$url" | sed "s/{version}/$version/g")
case $url in
https://* | http://* | file://*) ;;
*) fail "set INSTALL_URL to where the files of a release are" ;;
esac
[ -n "$to" ] && [ "$to" != /.local/bin ] || fail "HOME is not set: name a folder with --to"

case $(uname -s)-$(uname -m) in
Linux-x86_64 | Linux-amd64) target=x86_64-unknown-linux-gnu ;;
Linux-aarch64 | Linux-arm64) target=aarch64-unknown-linux-gnu ;;
Darwin-arm64) target=aarch64-apple-darwin ;;
*) fail "there is no build for $(uname -s) on $(uname -m): compile it with cargo install" ;;
esac
name=bookholder-$version-$target

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

get() {
    case $url in
    file://*) cp "${url#file://}/$1" "$work/$1" ;;
    *)
        if command -v curl > /dev/null; then
            curl --fail --silent --show-error --location --retry 2 --output "$work/$1" "$url/$1"
        elif command -v wget > /dev/null; then
            wget --quiet --output-document="$work/$1" "$url/$1"
        else
            fail "curl or wget is needed"
        fi ;;
    esac || fail "cannot get $url/$1"
}
sha256() {
    if command -v sha256sum > /dev/null; then sha256sum "$1"
    elif command -v shasum > /dev/null; then shasum -a 256 "$1"
    elif command -v openssl > /dev/null; then openssl dgst -sha256 -r "$1"
    else fail "sha256sum, shasum or openssl is needed"; fi | cut -d ' ' -f 1
}

get "$name.tar.gz"
get SHA256SUMS
if [ -n "$signers" ]; then
    get SHA256SUMS.sig
    ssh-keygen -Y verify -f "$signers" -I release -n bookholder-release -s "$work/SHA256SUMS.sig" \
        < "$work/SHA256SUMS" > /dev/null || fail "the signature of SHA256SUMS is not of a key in $signers"
fi
expected=$(sed -n "s/^\([0-9a-f]\{64\}\)  $name\.tar\.gz\$/\1/p" "$work/SHA256SUMS")
[ -n "$expected" ] || fail "SHA256SUMS does not list $name.tar.gz"
found=$(sha256 "$work/$name.tar.gz")
[ "$found" = "$expected" ] || fail "$name.tar.gz has the SHA-256 $found, not $expected: it was changed, or cut off"

tar -xzf "$work/$name.tar.gz" -C "$work"
runs=$("$work/$name/bookholder" --version) || fail "the program does not run on this machine"
mkdir -p "$to"
# Beside its place first, then moved: a program that runs keeps its file, and none is ever half written.
cp "$work/$name/bookholder" "$to/.bookholder.new"
chmod 0755 "$to/.bookholder.new"
mv -f "$to/.bookholder.new" "$to/bookholder"

echo "installed $runs in $to"
case :$PATH: in
*:"$to":*) echo "next: bookholder demo" ;;
*) echo "next: add $to to your PATH, then: bookholder demo" ;;
esac
