# What prove's output says, for auto/check.  Prints
#
#   tests PASSED FAILED
#   file NAME: WHAT WENT WRONG     one line for each test file that failed
#
# A file that ended badly without a failed test counts as one failure, and so
# does a run that was ended before prove wrote its summary: that is "prove".

/^[^ ]+\.t \.+/ { last = $1 }

# What Perl says when a test file dies; failed tests are said with "#".
match($0, / at [^ ]*t\/[^ \/]+\.t line [0-9]+/) && !/^ *#/ {
    where = substr($0, RSTART + 4, RLENGTH - 4)
    sub(/ line [0-9]+$/, "", where)
    sub(/^.*\/t\//, "t/", where)
    death[where] = substr($0, 1, RSTART + RLENGTH - 1)
}

/^Bailout called\./ {
    bailout = $0
    sub(/^Bailout called\. *(Further testing stopped: *)?/, "", bailout)
}

/^Test Summary Report/ { summary = 1 }

summary && /^[^ ].*\(Wstat: .* Tests: [0-9]+ Failed: [0-9]+\)/ {
    finish_file("")
    name = $1
    wstat = number_after("Wstat: ")
    ran = number_after("Tests: ")
    bad = number_after("Failed: ")
    which = parse = ""
    next
}

# The numbers of many tests take several lines; the first ones are enough.
name != "" && /^  Failed tests?:/ {
    sub(/^  Failed tests?: */, "")
    which = $0
    more = 1
    next
}
more && /^   +[0-9]/ {
    sub(/^ +/, "")
    which = which ", " $0
    next
}
{ more = 0 }

name != "" && /^  Parse errors:/ {
    sub(/^  Parse errors: */, "")
    parse = $0
}

/^Files=[0-9]+, Tests=[0-9]+/ {
    # Who calls a bailout is the last one.
    finish_file(bailout)
    split($2, part, /[=,]/)
    total += part[2]
    finished = 1
    summary = 0
}

END {
    if (!finished) {
        finish_file("")
        failed++
        extra++
        if (bailout != "")
            report("prove", "a test stopped all others: " bailout)
        else if (last != "")
            report("prove", "it was ended before its summary, during the " \
                "file that follows " last)
        else
            report("prove", "it ran no test")
    }
    # Side by side, prove says nothing of a file that has called a bailout.
    else if (bailout != "" && n == 0) {
        failed++
        extra++
        report("prove", "a test stopped all others: " bailout)
    }
    print "tests " total + extra - failed " " failed + 0
    for (i = 1; i <= n; i++)
        print "file " lines[i]
}

function number_after(label) {
    return substr($0, index($0, label) + length(label)) + 0
}

function shortened(text) {
    if (length(text) > 64) {
        text = substr(text, 1, 60)
        sub(/,[^,]*$/, ", ...", text)
    }
    return text
}

function report(file, what) {
    lines[++n] = file ": " what
}

# Nothing is wrong with a file in the summary when a TODO test has passed.
function finish_file(stopped,    what) {
    if (name == "")
        return
    if (bad)
        what = bad " of " ran " tests failed: " shortened(which)
    else if (wstat % 128)
        what = "ended by signal " wstat % 128 " after test " ran
    else if (wstat)
        what = "exit status " int(wstat / 256) " after test " ran
    if (!bad && parse != "")
        what = what (what == "" ? "" : ": ") parse
    if (wstat && name in death)
        what = what ": " death[name]
    if (stopped != "")
        what = what ", and no other was run: " stopped
    if (what != "") {
        report(name, what)
        failed += bad ? bad : 1
        extra += bad ? 0 : 1
    }
    name = ""
}
