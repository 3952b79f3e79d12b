# Reads "nm -A -P" of all object files of the program; prints calls upwards,
# calls of the zone by modules, circles between files of a floor, and uses of
# module descriptors.  Exit
# status 1 when there was one.  build: the build folder with its slash.
#
# A reference counts whether it is a call or the use of a variable.

BEGIN {
    n = split("os core event zone ipc net hub config store worker ctl " \
        "master main modules", names, " ")
    for (i = 1; i <= n; i++)
        height[names[i]] = i
}

# "objs/src/core/log.o: lnt_log_open T 0 0"; U is undefined, small letters
# (but for weak ones) are local.
{
    object = $1
    sub(/:$/, "", object)
    # With an archive or odd tools: "objs/x.o[y.o]:" does not occur here.
    symbol = $2
    type = $3
    if (!(object in seen)) {
        seen[object] = 1
        objects[++nobjects] = object
        floor[object] = floor_of(object)
    }
    if (type ~ /^[TDBRSVWCG]$/)
        home[symbol] = object
    else if (type == "U" || type == "w" || type == "v")
        wants[object] = wants[object] " " symbol
}

END {
    for (i = 1; i <= nobjects; i++)
        check(objects[i])
    for (i = 1; i <= nobjects; i++)
        if (!(objects[i] in order))
            visit(objects[i])
    exit bad
}

# The generated modules.o stands above all: it may name everything.
function floor_of(object,    path, part) {
    path = object
    if (index(path, build) == 1)
        path = substr(path, length(build) + 1)
    if (path == "modules.o")
        return 99
    if (path == "src/main.o")
        return height["main"]
    split(path, part, "/")
    if (part[1] == "src" && part[2] in height)
        return height[part[2]]
    if (part[1] == "modules" || part[1] == "addon")
        return height["modules"]
    printf "%s: on no floor; the folders in src/ are os core event zone " \
        "ipc net hub config store worker ctl master\n", source(object)
    bad = 1
    return 0
}

function source(object,    path) {
    path = object
    if (index(path, build) == 1)
        path = substr(path, length(build) + 1)
    sub(/\.o$/, ".c", path)
    return path
}

# A module of several files is one thing to everybody else.
function check(object,    n, words, i, symbol, there) {
    n = split(wants[object], words, " ")
    for (i = 1; i <= n; i++) {
        symbol = words[i]
        if (!(symbol in home))
            continue
        there = home[symbol]
        if (there == object)
            continue
        if (floor[object] == 99)
            continue
        # main reads the list of modules: by design the one word upwards.
        if (floor[there] == 99 && floor[object] == height["main"] &&
            symbol == "lnt_static_modules")
            continue
        if (floor[there] > floor[object]) {
            printf "%s: calls upwards: %s is in %s\n", source(object),
                symbol, source(there)
            bad = 1
        }
        if (floor[object] == height["modules"] &&
            floor[there] == height["zone"]) {
            printf "%s: calls the zone, which modules know through hub/ " \
                "alone: %s\n", source(object), symbol
            bad = 1
        }
        if (symbol ~ /^lnt_module_/ && floor[there] == height["modules"] &&
            symbol == "lnt_module_" folder(there) &&
            folder(there) != folder(object)) {
            printf "%s: names a module: %s\n", source(object), symbol
            bad = 1
        }
        if (floor[there] == floor[object] && !((object, there) in by)) {
            by[object, there] = symbol
            edges[object] = edges[object] " " there
        }
    }
}

function folder(object,    path, part) {
    path = object
    if (index(path, build) == 1)
        path = substr(path, length(build) + 1)
    split(path, part, "/")
    return part[2]
}

# Tarjan: files that reach each other come out together.
function visit(v,    n, words, i, w, group, size) {
    order[v] = low[v] = ++count
    stack[++top] = v
    on_stack[v] = 1
    n = split(edges[v], words, " ")
    for (i = 1; i <= n; i++) {
        w = words[i]
        if (!(w in order)) {
            visit(w)
            if (low[w] < low[v])
                low[v] = low[w]
        } else if (on_stack[w] && order[w] < low[v]) {
            low[v] = order[w]
        }
    }
    if (low[v] != order[v])
        return
    size = 0
    do {
        w = stack[top--]
        on_stack[w] = 0
        circle[w] = v
        group[++size] = w
    } while (w != v)
    if (size > 1)
        explain(v, group, size)
}

function explain(v, group, size,    i, j, n, words) {
    bad = 1
    printf "a circle between %d files:\n", size
    for (i = 1; i <= size; i++) {
        n = split(edges[group[i]], words, " ")
        for (j = 1; j <= n; j++)
            if (circle[words[j]] == v)
                printf "    %s uses %s of %s\n", source(group[i]),
                    by[group[i], words[j]], source(words[j])
    }
}
