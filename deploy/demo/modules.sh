#!/bin/sh
# modules.sh NODE_MODULES DIRECTORY: collects for the demo's site what the recipes load: htmx, Turbo, Datastar, React and Vue, as npm
# has them. If the packages are not installed, the directory stays empty, and those recipes say so.
#
# React's packages have only CommonJS files, which a bundler wraps for browsers. This wraps them in the same way.
set -eu

packages=$1
modules=$2
mkdir -p "$modules"
[ -d "$packages/react" ] || exit 0

# wrap FILE EXPORTS [PACKAGE…]: an ES module. Each PACKAGE is one that FILE requires, wrapped before.
wrap() {
    file=$1 exports=$2
    shift 2
    known=
    for name; do
        printf "import * as of_%s from './%s.js';\n" "$(echo "$name" | tr -d -)" "$name"
        known="$known '$name': of_$(echo "$name" | tr -d -),"
    done
    printf 'const all = {};\n(function (exports, require) {\n'
    cat "$packages/$file"
    printf '\n})(all, (name) => ({%s })[name]);\nexport const { %s } = all;\n' "$known" "$exports"
}

# The names that a CommonJS file exports.
names() {
    sed -n 's/^ *exports\.\([A-Za-z_]*\) =.*/\1,/p' "$packages/$1" | sort -u | tr '\n' ' '
}

for module in react/cjs/react scheduler/cjs/scheduler react-dom/cjs/react-dom react-dom/cjs/react-dom-client; do
    file=$module.production.js
    name=${module##*/}
    case $name in
    react | scheduler) wrap "$file" "$(names "$file")" ;;
    react-dom) wrap "$file" "$(names "$file")" react ;;
    *) wrap "$file" "$(names "$file")" react scheduler react-dom ;;
    esac >"$modules/$name.js"
done

cp "$packages/htmx-2/dist/htmx.min.js" "$modules/htmx-2.js"
cp "$packages/htmx-ext-sse/sse.js" "$modules/htmx-ext-sse.js"
cp "$packages/htmx-4/dist/htmx.min.js" "$modules/htmx-4.js"
cp "$packages/htmx-4/dist/ext/hx-sse.min.js" "$modules/htmx-4-sse.js"
cp "$packages/@hotwired/turbo/dist/turbo.es2017-esm.js" "$modules/turbo.js"
cp "$packages/@starfederation/datastar/dist/datastar.js" "$modules/datastar.js"
cp "$packages/vue/dist/vue.esm-browser.prod.js" "$modules/vue.js"
