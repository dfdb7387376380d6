#compdef virt-mdev

autoload -U is-at-least

_virt-mdev() {
    typeset -A opt_args
    typeset -a _arguments_options
    local ret=1

    if is-at-least 5.2; then
        _arguments_options=(-s -S -C)
    else
        _arguments_options=(-s -C)
    fi

    local context curcontext="$curcontext" state line
    _arguments "${_arguments_options[@]}" : \
'-h[Print help (see more with '\''--help'\'')]' \
'--help[Print help (see more with '\''--help'\'')]' \
'-V[Print version]' \
'--version[Print version]' \
":: :_virt-mdev_commands" \
"*::: :->virt-mdev" \
&& ret=0
    case $state in
    (virt-mdev)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:virt-mdev-command-$line[1]:"
        case $line[1] in
            (fill)
_arguments "${_arguments_options[@]}" : \
'(-o --output --diff)-i+[Rewrite each FILE; with a SUFFIX, as in -i=.bak, keep the old content as FILE.bak]::SUFFIX:_default' \
'(-o --output --diff)--in-place=[Rewrite each FILE; with a SUFFIX, as in -i=.bak, keep the old content as FILE.bak]::SUFFIX:_default' \
'(--diff)-o+[Write the document to FILE]:FILE:_files' \
'(--diff)--output=[Write the document to FILE]:FILE:_files' \
'-j+[Work on N files at once; the default is the number of processors]:N:_default' \
'--jobs=[Work on N files at once; the default is the number of processors]:N:_default' \
'--sysfs=[The sysfs to read devices from; the default is VIRT_MDEV_SYSFS, or else /sys]:DIR:_files -/' \
'--mdevctl-dir=[The directory of mdevctl'\''s definitions]:DIR:_files -/' \
'(--sysfs --defined --mdevctl-dir)--host=[Read devices from FILE\: virt-mdev list --json or virsh nodedev-dumpxml of a host; - is standard input]:FILE:_files' \
'--into=[Where to write identities]:PLACE:((source\:"The hostdev'\''s source"
metadata\:"The domain'\''s metadata, where libvirt keeps them"
both\:"Both places"))' \
'*--devices=[Which devices to record; vgpu and pci are only recorded in metadata]:KINDS:((mdev\:"Mediated devices"
vgpu\:"vGPUs that are PCI virtual functions"
pci\:"All PCI devices"))' \
'--on-missing=[What to do if this host does not have a device]:WHAT:((error\:"Fail and write nothing"
skip\:"Warn and leave the hostdev unchanged"))' \
'--on-conflict=[What to do if an identity in the document differs from the device on this host]:WHAT:((error\:"Fail and write nothing"
replace\:"Correct what differs and add what is missing"
keep\:"Warn and leave the hostdev unchanged"))' \
'--diff[Print the unified diff instead of writing]' \
'-n[Write nothing; print what would change, and exit with status 1 if anything would]' \
'--dry-run[Write nothing; print what would change, and exit with status 1 if anything would]' \
'(--diff)--json[With --dry-run, print JSON for programs]' \
'-k[Continue with the other files if one fails; the exit status is still 2]' \
'--keep-going[Continue with the other files if one fails; the exit status is still 2]' \
'(-v --verbose)-q[Print errors only]' \
'(-v --verbose)--quiet[Print errors only]' \
'-v[Also report each device that is unchanged, and why]' \
'--verbose[Also report each device that is unchanged, and why]' \
'--defined[Also take devices that mdevctl has defined and that are not started]' \
'(--into -i --in-place -o --output --diff -n --dry-run)--metadata-only[Print only the metadata element, in the form for virsh metadata --set]' \
'-h[Print help (see more with '\''--help'\'')]' \
'--help[Print help (see more with '\''--help'\'')]' \
'*::files -- Documents or glob patterns; - is standard input:_files' \
&& ret=0
;;
(strip)
_arguments "${_arguments_options[@]}" : \
'(-o --output --diff)-i+[Rewrite each FILE; with a SUFFIX, as in -i=.bak, keep the old content as FILE.bak]::SUFFIX:_default' \
'(-o --output --diff)--in-place=[Rewrite each FILE; with a SUFFIX, as in -i=.bak, keep the old content as FILE.bak]::SUFFIX:_default' \
'(--diff)-o+[Write the document to FILE]:FILE:_files' \
'(--diff)--output=[Write the document to FILE]:FILE:_files' \
'-j+[Work on N files at once; the default is the number of processors]:N:_default' \
'--jobs=[Work on N files at once; the default is the number of processors]:N:_default' \
'--from=[Where to remove identities]:PLACE:((source\:"The hostdev'\''s source"
metadata\:"The domain'\''s metadata, where libvirt keeps them"
both\:"Both places"))' \
'--diff[Print the unified diff instead of writing]' \
'-n[Write nothing; print what would change, and exit with status 1 if anything would]' \
'--dry-run[Write nothing; print what would change, and exit with status 1 if anything would]' \
'(--diff)--json[With --dry-run, print JSON for programs]' \
'-k[Continue with the other files if one fails; the exit status is still 2]' \
'--keep-going[Continue with the other files if one fails; the exit status is still 2]' \
'(-v --verbose)-q[Print errors only]' \
'(-v --verbose)--quiet[Print errors only]' \
'-v[Also report each device that is unchanged, and why]' \
'--verbose[Also report each device that is unchanged, and why]' \
'-h[Print help (see more with '\''--help'\'')]' \
'--help[Print help (see more with '\''--help'\'')]' \
'*::files -- Documents or glob patterns; - is standard input:_files' \
&& ret=0
;;
(compare)
_arguments "${_arguments_options[@]}" : \
'--json[Print JSON for programs]' \
'(--json)-q[Print errors only; the exit status is the result]' \
'(--json)--quiet[Print errors only; the exit status is the result]' \
'-h[Print help (see more with '\''--help'\'')]' \
'--help[Print help (see more with '\''--help'\'')]' \
':source -- The guest'\''s domain on the source host; - is standard input:_files' \
':destination -- The guest'\''s domain on the destination host; - is standard input:_files' \
&& ret=0
;;
(check)
_arguments "${_arguments_options[@]}" : \
'--sysfs=[The sysfs to read devices from; the default is VIRT_MDEV_SYSFS, or else /sys]:DIR:_files -/' \
'--mdevctl-dir=[The directory of mdevctl'\''s definitions]:DIR:_files -/' \
'(--sysfs --defined --mdevctl-dir)*--host=[Check against the host that FILE describes, or a pattern; may be repeated]:FILE:_files' \
'--accept=[Look for other devices too; the worst verdict that is accepted \[default with --host\: same\]]:VERDICT:((same\:"Only the device that the domain names"
free\:"Also another device that is free"
creatable\:"Also a device that would have to be created"))' \
'*--in-use=[A domain, or a pattern, of a guest that has devices of the hosts; may be repeated]:DOMAIN:_files' \
'--defined[Also take devices that mdevctl has defined and that are not started]' \
'--follow-guest-address[Use the record of a device'\''s guest address, for managers that change UUIDs]' \
'-k[Continue if a file cannot be found; the exit status is still 2]' \
'--keep-going[Continue if a file cannot be found; the exit status is still 2]' \
'--json[Print JSON for programs]' \
'(--json)-q[Print errors only; the exit status is the result]' \
'(--json)--quiet[Print errors only; the exit status is the result]' \
'(--json -q --quiet)-v[With several hosts, also print the reasons]' \
'(--json -q --quiet)--verbose[With several hosts, also print the reasons]' \
'-h[Print help (see more with '\''--help'\'')]' \
'--help[Print help (see more with '\''--help'\'')]' \
'*::files -- Domain documents or glob patterns; - is standard input:_files' \
&& ret=0
;;
(list)
_arguments "${_arguments_options[@]}" : \
'--sysfs=[The sysfs to read devices from; the default is VIRT_MDEV_SYSFS, or else /sys]:DIR:_files -/' \
'--mdevctl-dir=[The directory of mdevctl'\''s definitions]:DIR:_files -/' \
'(--sysfs --defined --mdevctl-dir)--host=[Read devices from FILE\: virt-mdev list --json or virsh nodedev-dumpxml of a host; - is standard input]:FILE:_files' \
'--defined[Also take devices that mdevctl has defined and that are not started]' \
'--json[Print JSON for programs\: without DOMAIN, the record of the host]' \
'-h[Print help (see more with '\''--help'\'')]' \
'--help[Print help (see more with '\''--help'\'')]' \
'*::files -- Domain documents or glob patterns; - is standard input:_files' \
&& ret=0
;;
(retarget)
_arguments "${_arguments_options[@]}" : \
'--sysfs=[The sysfs to read devices from; the default is VIRT_MDEV_SYSFS, or else /sys]:DIR:_files -/' \
'--mdevctl-dir=[The directory of mdevctl'\''s definitions]:DIR:_files -/' \
'(--sysfs --defined --mdevctl-dir)--host=[Read devices from FILE\: virt-mdev list --json or virsh nodedev-dumpxml of a host; - is standard input]:FILE:_files' \
'*--in-use=[A domain, or a pattern, of a guest that has devices of the host; may be repeated]:DOMAIN:_files' \
'--defined[Also take devices that mdevctl has defined and that are not started]' \
'--assume-unused[Choose free devices without knowing which ones guests of the host have]' \
'--create-plan[Also choose devices that have to be created, and print the commands that create them]' \
'-n[Print which devices would change instead of the domain]' \
'--dry-run[Print which devices would change instead of the domain]' \
'--json[With --dry-run, print JSON for programs]' \
'--follow-guest-address[Use the record of a device'\''s guest address, for managers that change UUIDs]' \
'-h[Print help (see more with '\''--help'\'')]' \
'--help[Print help (see more with '\''--help'\'')]' \
'::file -- The domain; without it, or with -, standard input:_files' \
&& ret=0
;;
(hook)
_arguments "${_arguments_options[@]}" : \
'--sysfs=[The sysfs to read devices from; the default is VIRT_MDEV_SYSFS, or else /sys]:DIR:_files -/' \
'--mdevctl-dir=[The directory of mdevctl'\''s definitions]:DIR:_files -/' \
'(--sysfs --defined --mdevctl-dir)--host=[Read devices from FILE\: virt-mdev list --json or virsh nodedev-dumpxml of a host; - is standard input]:FILE:_files' \
'--defined[Also take devices that mdevctl has defined and that are not started]' \
'--require[Refuse a guest that has mediated devices or vGPUs but no record of them]' \
'--check-start[Also check at every start (prepare begin) and when a snapshot is reverted to]' \
'--defer-absent[Check that a device is present only at prepare begin, for hosts that create it or set its type there]' \
'--follow-guest-address[Use the record of a device'\''s guest address, for managers that change UUIDs]' \
'-h[Print help (see more with '\''--help'\'')]' \
'--help[Print help (see more with '\''--help'\'')]' \
':guest -- The guest'\''s name:_default' \
':operation -- What libvirt does with the guest, such as migrate:_default' \
':suboperation -- The step of the operation, such as begin:_default' \
':extra -- libvirt'\''s fourth argument; ignored:_default' \
&& ret=0
;;
(doctor)
_arguments "${_arguments_options[@]}" : \
'--root=[The root directory of the host, with etc, proc, sys and dev in it; the default is /]:DIR:_files -/' \
'--sysfs=[The sysfs to read devices from; the default is VIRT_MDEV_SYSFS, or else sys in the root directory]:DIR:_files -/' \
'--json[Print JSON for programs]' \
'-h[Print help (see more with '\''--help'\'')]' \
'--help[Print help (see more with '\''--help'\'')]' \
&& ret=0
;;
(completions)
_arguments "${_arguments_options[@]}" : \
'-h[Print help]' \
'--help[Print help]' \
':shell -- The shell:(bash elvish fish powershell zsh)' \
&& ret=0
;;
(help)
_arguments "${_arguments_options[@]}" : \
":: :_virt-mdev__subcmd__help_commands" \
"*::: :->help" \
&& ret=0

    case $state in
    (help)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:virt-mdev-help-command-$line[1]:"
        case $line[1] in
            (fill)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(strip)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(compare)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(check)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(list)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(retarget)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(hook)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(doctor)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(completions)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(help)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
        esac
    ;;
esac
;;
        esac
    ;;
esac
}

(( $+functions[_virt-mdev_commands] )) ||
_virt-mdev_commands() {
    local commands; commands=(
'fill:Record what each mediated device and vGPU of a domain is' \
'strip:Remove what fill has written' \
'compare:Compare the mediated devices and vGPUs of two domains' \
'check:Compare recorded identities with the devices of this host, or of other hosts' \
'list:Show the parents, mediated devices and vGPUs of a host' \
'retarget:Print the domain for another host, with devices of that host' \
'hook:Refuse a migration to a host whose devices differ; for libvirt'\''s hooks' \
'doctor:Check that the hook is installed and works on this host' \
'completions:Print a completion script for a shell' \
'help:Print this message or the help of the given subcommand(s)' \
    )
    _describe -t commands 'virt-mdev commands' commands "$@"
}
(( $+functions[_virt-mdev__subcmd__check_commands] )) ||
_virt-mdev__subcmd__check_commands() {
    local commands; commands=()
    _describe -t commands 'virt-mdev check commands' commands "$@"
}
(( $+functions[_virt-mdev__subcmd__compare_commands] )) ||
_virt-mdev__subcmd__compare_commands() {
    local commands; commands=()
    _describe -t commands 'virt-mdev compare commands' commands "$@"
}
(( $+functions[_virt-mdev__subcmd__completions_commands] )) ||
_virt-mdev__subcmd__completions_commands() {
    local commands; commands=()
    _describe -t commands 'virt-mdev completions commands' commands "$@"
}
(( $+functions[_virt-mdev__subcmd__doctor_commands] )) ||
_virt-mdev__subcmd__doctor_commands() {
    local commands; commands=()
    _describe -t commands 'virt-mdev doctor commands' commands "$@"
}
(( $+functions[_virt-mdev__subcmd__fill_commands] )) ||
_virt-mdev__subcmd__fill_commands() {
    local commands; commands=()
    _describe -t commands 'virt-mdev fill commands' commands "$@"
}
(( $+functions[_virt-mdev__subcmd__help_commands] )) ||
_virt-mdev__subcmd__help_commands() {
    local commands; commands=(
'fill:Record what each mediated device and vGPU of a domain is' \
'strip:Remove what fill has written' \
'compare:Compare the mediated devices and vGPUs of two domains' \
'check:Compare recorded identities with the devices of this host, or of other hosts' \
'list:Show the parents, mediated devices and vGPUs of a host' \
'retarget:Print the domain for another host, with devices of that host' \
'hook:Refuse a migration to a host whose devices differ; for libvirt'\''s hooks' \
'doctor:Check that the hook is installed and works on this host' \
'completions:Print a completion script for a shell' \
'help:Print this message or the help of the given subcommand(s)' \
    )
    _describe -t commands 'virt-mdev help commands' commands "$@"
}
(( $+functions[_virt-mdev__subcmd__help__subcmd__check_commands] )) ||
_virt-mdev__subcmd__help__subcmd__check_commands() {
    local commands; commands=()
    _describe -t commands 'virt-mdev help check commands' commands "$@"
}
(( $+functions[_virt-mdev__subcmd__help__subcmd__compare_commands] )) ||
_virt-mdev__subcmd__help__subcmd__compare_commands() {
    local commands; commands=()
    _describe -t commands 'virt-mdev help compare commands' commands "$@"
}
(( $+functions[_virt-mdev__subcmd__help__subcmd__completions_commands] )) ||
_virt-mdev__subcmd__help__subcmd__completions_commands() {
    local commands; commands=()
    _describe -t commands 'virt-mdev help completions commands' commands "$@"
}
(( $+functions[_virt-mdev__subcmd__help__subcmd__doctor_commands] )) ||
_virt-mdev__subcmd__help__subcmd__doctor_commands() {
    local commands; commands=()
    _describe -t commands 'virt-mdev help doctor commands' commands "$@"
}
(( $+functions[_virt-mdev__subcmd__help__subcmd__fill_commands] )) ||
_virt-mdev__subcmd__help__subcmd__fill_commands() {
    local commands; commands=()
    _describe -t commands 'virt-mdev help fill commands' commands "$@"
}
(( $+functions[_virt-mdev__subcmd__help__subcmd__help_commands] )) ||
_virt-mdev__subcmd__help__subcmd__help_commands() {
    local commands; commands=()
    _describe -t commands 'virt-mdev help help commands' commands "$@"
}
(( $+functions[_virt-mdev__subcmd__help__subcmd__hook_commands] )) ||
_virt-mdev__subcmd__help__subcmd__hook_commands() {
    local commands; commands=()
    _describe -t commands 'virt-mdev help hook commands' commands "$@"
}
(( $+functions[_virt-mdev__subcmd__help__subcmd__list_commands] )) ||
_virt-mdev__subcmd__help__subcmd__list_commands() {
    local commands; commands=()
    _describe -t commands 'virt-mdev help list commands' commands "$@"
}
(( $+functions[_virt-mdev__subcmd__help__subcmd__retarget_commands] )) ||
_virt-mdev__subcmd__help__subcmd__retarget_commands() {
    local commands; commands=()
    _describe -t commands 'virt-mdev help retarget commands' commands "$@"
}
(( $+functions[_virt-mdev__subcmd__help__subcmd__strip_commands] )) ||
_virt-mdev__subcmd__help__subcmd__strip_commands() {
    local commands; commands=()
    _describe -t commands 'virt-mdev help strip commands' commands "$@"
}
(( $+functions[_virt-mdev__subcmd__hook_commands] )) ||
_virt-mdev__subcmd__hook_commands() {
    local commands; commands=()
    _describe -t commands 'virt-mdev hook commands' commands "$@"
}
(( $+functions[_virt-mdev__subcmd__list_commands] )) ||
_virt-mdev__subcmd__list_commands() {
    local commands; commands=()
    _describe -t commands 'virt-mdev list commands' commands "$@"
}
(( $+functions[_virt-mdev__subcmd__retarget_commands] )) ||
_virt-mdev__subcmd__retarget_commands() {
    local commands; commands=()
    _describe -t commands 'virt-mdev retarget commands' commands "$@"
}
(( $+functions[_virt-mdev__subcmd__strip_commands] )) ||
_virt-mdev__subcmd__strip_commands() {
    local commands; commands=()
    _describe -t commands 'virt-mdev strip commands' commands "$@"
}

if [ "$funcstack[1]" = "_virt-mdev" ]; then
    _virt-mdev "$@"
else
    compdef _virt-mdev virt-mdev
fi
