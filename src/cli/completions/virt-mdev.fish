# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_virt_mdev_global_optspecs
    string join \n h/help V/version
end

function __fish_virt_mdev_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_virt_mdev_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_virt_mdev_using_subcommand
    set -l cmd (__fish_virt_mdev_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c virt-mdev -n "__fish_virt_mdev_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c virt-mdev -n "__fish_virt_mdev_needs_command" -s V -l version -d 'Print version'
complete -c virt-mdev -n "__fish_virt_mdev_needs_command" -f -a "fill" -d 'Record what each mediated device and vGPU of a domain is'
complete -c virt-mdev -n "__fish_virt_mdev_needs_command" -f -a "strip" -d 'Remove what fill has written'
complete -c virt-mdev -n "__fish_virt_mdev_needs_command" -f -a "compare" -d 'Compare the mediated devices and vGPUs of two domains'
complete -c virt-mdev -n "__fish_virt_mdev_needs_command" -f -a "check" -d 'Compare recorded identities with the devices of this host, or of other hosts'
complete -c virt-mdev -n "__fish_virt_mdev_needs_command" -f -a "list" -d 'Show the parents, mediated devices and vGPUs of a host'
complete -c virt-mdev -n "__fish_virt_mdev_needs_command" -f -a "retarget" -d 'Print the domain for another host, with devices of that host'
complete -c virt-mdev -n "__fish_virt_mdev_needs_command" -f -a "hook" -d 'Refuse a migration to a host whose devices differ; for libvirt\'s hooks'
complete -c virt-mdev -n "__fish_virt_mdev_needs_command" -f -a "doctor" -d 'Check that the hook is installed and works on this host'
complete -c virt-mdev -n "__fish_virt_mdev_needs_command" -f -a "completions" -d 'Print a completion script for a shell'
complete -c virt-mdev -n "__fish_virt_mdev_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c virt-mdev -n "__fish_virt_mdev_using_subcommand fill" -s i -l in-place -d 'Rewrite each FILE; with a SUFFIX, as in -i=.bak, keep the old content as FILE.bak' -r
complete -c virt-mdev -n "__fish_virt_mdev_using_subcommand fill" -s o -l output -d 'Write the document to FILE' -r -F
complete -c virt-mdev -n "__fish_virt_mdev_using_subcommand fill" -s j -l jobs -d 'Work on N files at once; the default is the number of processors' -r
complete -c virt-mdev -n "__fish_virt_mdev_using_subcommand fill" -l sysfs -d 'The sysfs to read devices from; the default is VIRT_MDEV_SYSFS, or else /sys' -r -f -a "(__fish_complete_directories)"
complete -c virt-mdev -n "__fish_virt_mdev_using_subcommand fill" -l mdevctl-dir -d 'The directory of mdevctl\'s definitions' -r -f -a "(__fish_complete_directories)"
complete -c virt-mdev -n "__fish_virt_mdev_using_subcommand fill" -l host -d 'Read devices from FILE: virt-mdev list --json or virsh nodedev-dumpxml of a host; - is standard input' -r -F
complete -c virt-mdev -n "__fish_virt_mdev_using_subcommand fill" -l into -d 'Where to write identities' -r -f -a "source\t'The hostdev\'s source'
metadata\t'The domain\'s metadata, where libvirt keeps them'
both\t'Both places'"
complete -c virt-mdev -n "__fish_virt_mdev_using_subcommand fill" -l devices -d 'Which devices to record; vgpu and pci are only recorded in metadata' -r -f -a "mdev\t'Mediated devices'
vgpu\t'vGPUs that are PCI virtual functions'
pci\t'All PCI devices'"
complete -c virt-mdev -n "__fish_virt_mdev_using_subcommand fill" -l on-missing -d 'What to do if this host does not have a device' -r -f -a "error\t'Fail and write nothing'
skip\t'Warn and leave the hostdev unchanged'"
complete -c virt-mdev -n "__fish_virt_mdev_using_subcommand fill" -l on-conflict -d 'What to do if an identity in the document differs from the device on this host' -r -f -a "error\t'Fail and write nothing'
replace\t'Correct what differs and add what is missing'
keep\t'Warn and leave the hostdev unchanged'"
complete -c virt-mdev -n "__fish_virt_mdev_using_subcommand fill" -l diff -d 'Print the unified diff instead of writing'
complete -c virt-mdev -n "__fish_virt_mdev_using_subcommand fill" -s n -l dry-run -d 'Write nothing; print what would change, and exit with status 1 if anything would'
complete -c virt-mdev -n "__fish_virt_mdev_using_subcommand fill" -l json -d 'With --dry-run, print JSON for programs'
complete -c virt-mdev -n "__fish_virt_mdev_using_subcommand fill" -s k -l keep-going -d 'Continue with the other files if one fails; the exit status is still 2'
complete -c virt-mdev -n "__fish_virt_mdev_using_subcommand fill" -s q -l quiet -d 'Print errors only'
complete -c virt-mdev -n "__fish_virt_mdev_using_subcommand fill" -s v -l verbose -d 'Also report each device that is unchanged, and why'
complete -c virt-mdev -n "__fish_virt_mdev_using_subcommand fill" -l defined -d 'Also take devices that mdevctl has defined and that are not started'
complete -c virt-mdev -n "__fish_virt_mdev_using_subcommand fill" -l metadata-only -d 'Print only the metadata element, in the form for virsh metadata --set'
complete -c virt-mdev -n "__fish_virt_mdev_using_subcommand fill" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c virt-mdev -n "__fish_virt_mdev_using_subcommand strip" -s i -l in-place -d 'Rewrite each FILE; with a SUFFIX, as in -i=.bak, keep the old content as FILE.bak' -r
complete -c virt-mdev -n "__fish_virt_mdev_using_subcommand strip" -s o -l output -d 'Write the document to FILE' -r -F
complete -c virt-mdev -n "__fish_virt_mdev_using_subcommand strip" -s j -l jobs -d 'Work on N files at once; the default is the number of processors' -r
complete -c virt-mdev -n "__fish_virt_mdev_using_subcommand strip" -l from -d 'Where to remove identities' -r -f -a "source\t'The hostdev\'s source'
metadata\t'The domain\'s metadata, where libvirt keeps them'
both\t'Both places'"
complete -c virt-mdev -n "__fish_virt_mdev_using_subcommand strip" -l diff -d 'Print the unified diff instead of writing'
complete -c virt-mdev -n "__fish_virt_mdev_using_subcommand strip" -s n -l dry-run -d 'Write nothing; print what would change, and exit with status 1 if anything would'
complete -c virt-mdev -n "__fish_virt_mdev_using_subcommand strip" -l json -d 'With --dry-run, print JSON for programs'
complete -c virt-mdev -n "__fish_virt_mdev_using_subcommand strip" -s k -l keep-going -d 'Continue with the other files if one fails; the exit status is still 2'
complete -c virt-mdev -n "__fish_virt_mdev_using_subcommand strip" -s q -l quiet -d 'Print errors only'
complete -c virt-mdev -n "__fish_virt_mdev_using_subcommand strip" -s v -l verbose -d 'Also report each device that is unchanged, and why'
complete -c virt-mdev -n "__fish_virt_mdev_using_subcommand strip" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c virt-mdev -n "__fish_virt_mdev_using_subcommand compare" -l json -d 'Print JSON for programs'
complete -c virt-mdev -n "__fish_virt_mdev_using_subcommand compare" -s q -l quiet -d 'Print errors only; the exit status is the result'
complete -c virt-mdev -n "__fish_virt_mdev_using_subcommand compare" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c virt-mdev -n "__fish_virt_mdev_using_subcommand check" -l sysfs -d 'The sysfs to read devices from; the default is VIRT_MDEV_SYSFS, or else /sys' -r -f -a "(__fish_complete_directories)"
complete -c virt-mdev -n "__fish_virt_mdev_using_subcommand check" -l mdevctl-dir -d 'The directory of mdevctl\'s definitions' -r -f -a "(__fish_complete_directories)"
complete -c virt-mdev -n "__fish_virt_mdev_using_subcommand check" -l host -d 'Check against the host that FILE describes, or a pattern; may be repeated' -r -F
complete -c virt-mdev -n "__fish_virt_mdev_using_subcommand check" -l accept -d 'Look for other devices too; the worst verdict that is accepted [default with --host: same]' -r -f -a "same\t'Only the device that the domain names'
free\t'Also another device that is free'
creatable\t'Also a device that would have to be created'"
complete -c virt-mdev -n "__fish_virt_mdev_using_subcommand check" -l in-use -d 'A domain, or a pattern, of a guest that has devices of the hosts; may be repeated' -r -F
complete -c virt-mdev -n "__fish_virt_mdev_using_subcommand check" -l defined -d 'Also take devices that mdevctl has defined and that are not started'
complete -c virt-mdev -n "__fish_virt_mdev_using_subcommand check" -l follow-guest-address -d 'Use the record of a device\'s guest address, for managers that change UUIDs'
complete -c virt-mdev -n "__fish_virt_mdev_using_subcommand check" -s k -l keep-going -d 'Continue if a file cannot be found; the exit status is still 2'
complete -c virt-mdev -n "__fish_virt_mdev_using_subcommand check" -l json -d 'Print JSON for programs'
complete -c virt-mdev -n "__fish_virt_mdev_using_subcommand check" -s q -l quiet -d 'Print errors only; the exit status is the result'
complete -c virt-mdev -n "__fish_virt_mdev_using_subcommand check" -s v -l verbose -d 'With several hosts, also print the reasons'
complete -c virt-mdev -n "__fish_virt_mdev_using_subcommand check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c virt-mdev -n "__fish_virt_mdev_using_subcommand list" -l sysfs -d 'The sysfs to read devices from; the default is VIRT_MDEV_SYSFS, or else /sys' -r -f -a "(__fish_complete_directories)"
complete -c virt-mdev -n "__fish_virt_mdev_using_subcommand list" -l mdevctl-dir -d 'The directory of mdevctl\'s definitions' -r -f -a "(__fish_complete_directories)"
complete -c virt-mdev -n "__fish_virt_mdev_using_subcommand list" -l host -d 'Read devices from FILE: virt-mdev list --json or virsh nodedev-dumpxml of a host; - is standard input' -r -F
complete -c virt-mdev -n "__fish_virt_mdev_using_subcommand list" -l defined -d 'Also take devices that mdevctl has defined and that are not started'
complete -c virt-mdev -n "__fish_virt_mdev_using_subcommand list" -l json -d 'Print JSON for programs: without DOMAIN, the record of the host'
complete -c virt-mdev -n "__fish_virt_mdev_using_subcommand list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c virt-mdev -n "__fish_virt_mdev_using_subcommand retarget" -l sysfs -d 'The sysfs to read devices from; the default is VIRT_MDEV_SYSFS, or else /sys' -r -f -a "(__fish_complete_directories)"
complete -c virt-mdev -n "__fish_virt_mdev_using_subcommand retarget" -l mdevctl-dir -d 'The directory of mdevctl\'s definitions' -r -f -a "(__fish_complete_directories)"
complete -c virt-mdev -n "__fish_virt_mdev_using_subcommand retarget" -l host -d 'Read devices from FILE: virt-mdev list --json or virsh nodedev-dumpxml of a host; - is standard input' -r -F
complete -c virt-mdev -n "__fish_virt_mdev_using_subcommand retarget" -l in-use -d 'A domain, or a pattern, of a guest that has devices of the host; may be repeated' -r -F
complete -c virt-mdev -n "__fish_virt_mdev_using_subcommand retarget" -l defined -d 'Also take devices that mdevctl has defined and that are not started'
complete -c virt-mdev -n "__fish_virt_mdev_using_subcommand retarget" -l assume-unused -d 'Choose free devices without knowing which ones guests of the host have'
complete -c virt-mdev -n "__fish_virt_mdev_using_subcommand retarget" -l create-plan -d 'Also choose devices that have to be created, and print the commands that create them'
complete -c virt-mdev -n "__fish_virt_mdev_using_subcommand retarget" -s n -l dry-run -d 'Print which devices would change instead of the domain'
complete -c virt-mdev -n "__fish_virt_mdev_using_subcommand retarget" -l json -d 'With --dry-run, print JSON for programs'
complete -c virt-mdev -n "__fish_virt_mdev_using_subcommand retarget" -l follow-guest-address -d 'Use the record of a device\'s guest address, for managers that change UUIDs'
complete -c virt-mdev -n "__fish_virt_mdev_using_subcommand retarget" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c virt-mdev -n "__fish_virt_mdev_using_subcommand hook" -l sysfs -d 'The sysfs to read devices from; the default is VIRT_MDEV_SYSFS, or else /sys' -r -f -a "(__fish_complete_directories)"
complete -c virt-mdev -n "__fish_virt_mdev_using_subcommand hook" -l mdevctl-dir -d 'The directory of mdevctl\'s definitions' -r -f -a "(__fish_complete_directories)"
complete -c virt-mdev -n "__fish_virt_mdev_using_subcommand hook" -l host -d 'Read devices from FILE: virt-mdev list --json or virsh nodedev-dumpxml of a host; - is standard input' -r -F
complete -c virt-mdev -n "__fish_virt_mdev_using_subcommand hook" -l defined -d 'Also take devices that mdevctl has defined and that are not started'
complete -c virt-mdev -n "__fish_virt_mdev_using_subcommand hook" -l require -d 'Refuse a guest that has mediated devices or vGPUs but no record of them'
complete -c virt-mdev -n "__fish_virt_mdev_using_subcommand hook" -l check-start -d 'Also check at every start (prepare begin) and when a snapshot is reverted to'
complete -c virt-mdev -n "__fish_virt_mdev_using_subcommand hook" -l defer-absent -d 'Check that a device is present only at prepare begin, for hosts that create it or set its type there'
complete -c virt-mdev -n "__fish_virt_mdev_using_subcommand hook" -l follow-guest-address -d 'Use the record of a device\'s guest address, for managers that change UUIDs'
complete -c virt-mdev -n "__fish_virt_mdev_using_subcommand hook" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c virt-mdev -n "__fish_virt_mdev_using_subcommand doctor" -l root -d 'The root directory of the host, with etc, proc, sys and dev in it; the default is /' -r -f -a "(__fish_complete_directories)"
complete -c virt-mdev -n "__fish_virt_mdev_using_subcommand doctor" -l sysfs -d 'The sysfs to read devices from; the default is VIRT_MDEV_SYSFS, or else sys in the root directory' -r -f -a "(__fish_complete_directories)"
complete -c virt-mdev -n "__fish_virt_mdev_using_subcommand doctor" -l json -d 'Print JSON for programs'
complete -c virt-mdev -n "__fish_virt_mdev_using_subcommand doctor" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c virt-mdev -n "__fish_virt_mdev_using_subcommand completions" -s h -l help -d 'Print help'
complete -c virt-mdev -n "__fish_virt_mdev_using_subcommand help; and not __fish_seen_subcommand_from fill strip compare check list retarget hook doctor completions help" -f -a "fill" -d 'Record what each mediated device and vGPU of a domain is'
complete -c virt-mdev -n "__fish_virt_mdev_using_subcommand help; and not __fish_seen_subcommand_from fill strip compare check list retarget hook doctor completions help" -f -a "strip" -d 'Remove what fill has written'
complete -c virt-mdev -n "__fish_virt_mdev_using_subcommand help; and not __fish_seen_subcommand_from fill strip compare check list retarget hook doctor completions help" -f -a "compare" -d 'Compare the mediated devices and vGPUs of two domains'
complete -c virt-mdev -n "__fish_virt_mdev_using_subcommand help; and not __fish_seen_subcommand_from fill strip compare check list retarget hook doctor completions help" -f -a "check" -d 'Compare recorded identities with the devices of this host, or of other hosts'
complete -c virt-mdev -n "__fish_virt_mdev_using_subcommand help; and not __fish_seen_subcommand_from fill strip compare check list retarget hook doctor completions help" -f -a "list" -d 'Show the parents, mediated devices and vGPUs of a host'
complete -c virt-mdev -n "__fish_virt_mdev_using_subcommand help; and not __fish_seen_subcommand_from fill strip compare check list retarget hook doctor completions help" -f -a "retarget" -d 'Print the domain for another host, with devices of that host'
complete -c virt-mdev -n "__fish_virt_mdev_using_subcommand help; and not __fish_seen_subcommand_from fill strip compare check list retarget hook doctor completions help" -f -a "hook" -d 'Refuse a migration to a host whose devices differ; for libvirt\'s hooks'
complete -c virt-mdev -n "__fish_virt_mdev_using_subcommand help; and not __fish_seen_subcommand_from fill strip compare check list retarget hook doctor completions help" -f -a "doctor" -d 'Check that the hook is installed and works on this host'
complete -c virt-mdev -n "__fish_virt_mdev_using_subcommand help; and not __fish_seen_subcommand_from fill strip compare check list retarget hook doctor completions help" -f -a "completions" -d 'Print a completion script for a shell'
complete -c virt-mdev -n "__fish_virt_mdev_using_subcommand help; and not __fish_seen_subcommand_from fill strip compare check list retarget hook doctor completions help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
