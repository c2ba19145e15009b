#!/usr/bin/env bash
# Builds what is released, from a clean clone: the programs, their manual pages and completions, an archive of all that, and the Debian
# package where cargo-deb is installed (`cargo install cargo-deb --locked`). Prints where they lie, with their checksums.
#
#   packaging/build.sh              into dist/ of the target directory
#   packaging/build.sh --no-deb     the archive alone
#
# Promises: nothing outside of the target directory is written; the same commit makes the same archive from the same toolchain.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

with_deb=1
case "${1:-}" in
"") ;;
--no-deb) with_deb=0 ;;
*) sed -n '2,8s/^# \{0,1\}//p' "$0" && exit 2 ;;
esac

target=${CARGO_TARGET_DIR:-target}
built=$target/release
made=$built/package # what is made here for the package to take: server/Cargo.toml names it
dist=$target/dist
programs=(thermocline-server thermocline thermocline-bench)

cargo build --release --locked -p thermocline-server -p thermocline-tools -p thermocline-bench

version=$("$built/thermocline" --version | cut -d' ' -f2)
when=$(git log -1 --format=%ct 2>/dev/null || stat -c %Y CHANGELOG.md)
grep -q "^## $version" CHANGELOG.md || { echo "CHANGELOG.md has no entry for $version" >&2 && exit 1; }

rm -rf "$made" "$dist"
mkdir -p "$made/man" "$made/completions" "$dist"
"$built/thermocline" man --into "$made/man"
gzip -9n "$made"/man/*
"$built/thermocline" completions bash >"$made/completions/thermocline"
"$built/thermocline" completions zsh >"$made/completions/_thermocline"
"$built/thermocline" completions fish >"$made/completions/thermocline.fish"
# Debian's form of the changelog: the entry itself is in CHANGELOG.md, which the package holds, too.
printf 'thermocline (%s-1) unstable; urgency=medium\n\n  * Version %s: see CHANGELOG.md.\n\n -- Thermocline <packaging@thermocline.invalid>  %s\n' \
    "$version" "$version" "$(LC_ALL=C date -u -R -d "@$when")" | gzip -9n >"$made/changelog.Debian.gz"

name=thermocline-$version-$(uname -m)-linux
mkdir "$dist/$name" "$dist/$name/man"
for program in "${programs[@]}"; do
    install -m 755 "$built/$program" "$dist/$name/"
    strip "$dist/$name/$program"
done
cp "$made"/man/* packaging/thermocline-server.8 "$dist/$name/man/"
cp -r "$made/completions" packaging/thermocline.conf packaging/thermocline.service README.md CHANGELOG.md LICENSE docs "$dist/$name/"
tar -C "$dist" --sort=name --mtime="@$when" --owner=0 --group=0 --numeric-owner -cf - "$name" | gzip -9n >"$dist/$name.tar.gz"
rm -rf "${dist:?}/$name"

if [ "$with_deb" = 1 ]; then
    if cargo deb --version >/dev/null 2>&1; then
        SOURCE_DATE_EPOCH=$when cargo deb --quiet --no-build --locked --strip -p thermocline-server --output "$dist/"
    else
        echo "SKIPPED: no Debian package: cargo-deb is not installed (cargo install cargo-deb --locked)"
    fi
fi

cd "$dist"
shopt -s nullglob
sha256sum -- *.tar.gz *.deb | tee SHA256SUMS
echo "in $dist"
