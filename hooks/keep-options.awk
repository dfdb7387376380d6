# Prints the hook script, the last file, with the options that are turned on in the installed ones, the files before it:
# without --require the gate would be open wider than before. -v binary=PATH: the program that the script runs.

FNR == 1 { file++ }

# A line that turns options on.
file < ARGC - 1 {
    if (/^options=./ && !seen[$0]++) on[++count] = $0
    next
}

/^binary=/ { print "binary=" binary; next }

# Lines of the administrator's own come first: one of them may be `options='--require'`, without those before it.
/^options=/ {
    print
    for (i = 1; i <= count; i++) if (!is_offered(on[i])) print on[i]
    next
}

# An option that the script offers as a comment.
/^#options=/ {
    for (i = 1; i <= count; i++) if (assignment(on[i]) == assignment(substr($0, 2))) { print substr($0, 2); next }
    print
    next
}

{ print }

# The line without its comment.
function assignment(line) {
    sub(/[ \t]+#.*/, "", line)
    return line
}

function is_offered(line) { return assignment(line) in offered }

BEGIN {
    shipped = ARGV[ARGC - 1]
    while ((getline line < shipped) > 0) if (line ~ /^#options=/) offered[assignment(substr(line, 2))]
    close(shipped)
}
