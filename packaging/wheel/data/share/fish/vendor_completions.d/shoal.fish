# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_shoal_global_optspecs
    string join \n h/help V/version
end

function __fish_shoal_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_shoal_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_shoal_using_subcommand
    set -l cmd (__fish_shoal_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c shoal -n "__fish_shoal_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c shoal -n "__fish_shoal_needs_command" -s V -l version -d 'Print version'
complete -c shoal -n "__fish_shoal_needs_command" -f -a "run" -d 'Every rank offers what it shares and fetches what it wants'
complete -c shoal -n "__fish_shoal_needs_command" -f -a "cast" -d 'Make DEST_DIR/<name of SRC> (file or tree) on every rank'
complete -c shoal -n "__fish_shoal_needs_command" -f -a "simulate" -d 'The same protocol in a simulated cluster'
complete -c shoal -n "__fish_shoal_using_subcommand run" -l share -d 'A file or directory that this rank offers' -r
complete -c shoal -n "__fish_shoal_using_subcommand run" -l prefix -d 'Put before every name that this rank shares' -r
complete -c shoal -n "__fish_shoal_using_subcommand run" -l want -d 'What this rank downloads [default: **]' -r
complete -c shoal -n "__fish_shoal_using_subcommand run" -l into -d 'Where wanted files land (made if absent)' -r
complete -c shoal -n "__fish_shoal_using_subcommand run" -l plan -d 'TOML; gives ranks or hosts their own share, prefix, want and into' -r
complete -c shoal -n "__fish_shoal_using_subcommand run" -l tracker -d 'Whether rank 0 only tracks, or is a peer too [default: dedicated]' -r -f -a "dedicated\t'Rank 0 only tracks'
colocated\t'Rank 0 tracks and is a peer too'"
complete -c shoal -n "__fish_shoal_using_subcommand run" -l ranks -d 'Start N ranks (tracker included) without a launcher' -r
complete -c shoal -n "__fish_shoal_using_subcommand run" -l piece-length -d 'A power of two from 16 KiB to 64 MiB, as in 1MiB [default: by each file\'s length]' -r
complete -c shoal -n "__fish_shoal_using_subcommand run" -l batch -d 'Pieces asked from one holder before the tracker is updated' -r
complete -c shoal -n "__fish_shoal_using_subcommand run" -l threads -d 'Workers for disk and hashing on each rank [default: from the cores this rank may use]' -r
complete -c shoal -n "__fish_shoal_using_subcommand run" -l memory -d 'The bound on the buffers of a rank, as in 64MiB [default: about 100 MiB]' -r
complete -c shoal -n "__fish_shoal_using_subcommand run" -l patience -d 'A rank silent for so long counts as lost; fractions allowed' -r
complete -c shoal -n "__fish_shoal_using_subcommand run" -l limit-upload -d 'The most that this rank sends, in bytes a second, as in 150MB or 1.5GiB' -r
complete -c shoal -n "__fish_shoal_using_subcommand run" -l limit-download -d 'The most that this rank receives, in bytes a second' -r
complete -c shoal -n "__fish_shoal_using_subcommand run" -l progress -d 'How progress is shown on standard error' -r -f -a "auto\t'A bar on a terminal, lines elsewhere'
bar\t'A bar'
plain\t'A line now and then'
none\t'Nothing'"
complete -c shoal -n "__fish_shoal_using_subcommand run" -l json -d 'Write the report as JSON; the tracker does (\'-\' is standard output)' -r
complete -c shoal -n "__fish_shoal_using_subcommand run" -l shared-fs -d 'SRC is visible on every rank: each reads a part, so that it is read once in all'
complete -c shoal -n "__fish_shoal_using_subcommand run" -l follow-links -d 'Share what symbolic links lead to, under their names, as \'cp -L\' does'
complete -c shoal -n "__fish_shoal_using_subcommand run" -l owner -d 'Keep user and group, by number'
complete -c shoal -n "__fish_shoal_using_subcommand run" -l xattrs -d 'Keep extended attributes'
complete -c shoal -n "__fish_shoal_using_subcommand run" -l check -d 'Say what is missing or different, rank by rank, and write nothing'
complete -c shoal -n "__fish_shoal_using_subcommand run" -l dry-run -d 'Say what would be received and written, and whether that could be; write nothing'
complete -c shoal -n "__fish_shoal_using_subcommand run" -l delete -d 'Remove what the catalogue lacks from every destination'
complete -c shoal -n "__fish_shoal_using_subcommand run" -s v -l verbose -d '-v shows phases and the MPI library, -vv every message with its rank, channel and tag'
complete -c shoal -n "__fish_shoal_using_subcommand run" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c shoal -n "__fish_shoal_using_subcommand run" -s V -l version -d 'Print version'
complete -c shoal -n "__fish_shoal_using_subcommand cast" -l tracker -d 'Whether rank 0 only tracks, or is a peer too [default: colocated]' -r -f -a "dedicated\t'Rank 0 only tracks'
colocated\t'Rank 0 tracks and is a peer too'"
complete -c shoal -n "__fish_shoal_using_subcommand cast" -l ranks -d 'Start N ranks (tracker included) without a launcher' -r
complete -c shoal -n "__fish_shoal_using_subcommand cast" -l piece-length -d 'A power of two from 16 KiB to 64 MiB, as in 1MiB [default: by each file\'s length]' -r
complete -c shoal -n "__fish_shoal_using_subcommand cast" -l batch -d 'Pieces asked from one holder before the tracker is updated' -r
complete -c shoal -n "__fish_shoal_using_subcommand cast" -l threads -d 'Workers for disk and hashing on each rank [default: from the cores this rank may use]' -r
complete -c shoal -n "__fish_shoal_using_subcommand cast" -l memory -d 'The bound on the buffers of a rank, as in 64MiB [default: about 100 MiB]' -r
complete -c shoal -n "__fish_shoal_using_subcommand cast" -l patience -d 'A rank silent for so long counts as lost; fractions allowed' -r
complete -c shoal -n "__fish_shoal_using_subcommand cast" -l limit-upload -d 'The most that this rank sends, in bytes a second, as in 150MB or 1.5GiB' -r
complete -c shoal -n "__fish_shoal_using_subcommand cast" -l limit-download -d 'The most that this rank receives, in bytes a second' -r
complete -c shoal -n "__fish_shoal_using_subcommand cast" -l progress -d 'How progress is shown on standard error' -r -f -a "auto\t'A bar on a terminal, lines elsewhere'
bar\t'A bar'
plain\t'A line now and then'
none\t'Nothing'"
complete -c shoal -n "__fish_shoal_using_subcommand cast" -l json -d 'Write the report as JSON; the tracker does (\'-\' is standard output)' -r
complete -c shoal -n "__fish_shoal_using_subcommand cast" -l shared-fs -d 'SRC is visible on every rank: each reads a part, so that it is read once in all'
complete -c shoal -n "__fish_shoal_using_subcommand cast" -l follow-links -d 'Share what symbolic links lead to, under their names, as \'cp -L\' does'
complete -c shoal -n "__fish_shoal_using_subcommand cast" -l owner -d 'Keep user and group, by number'
complete -c shoal -n "__fish_shoal_using_subcommand cast" -l xattrs -d 'Keep extended attributes'
complete -c shoal -n "__fish_shoal_using_subcommand cast" -l check -d 'Say what is missing or different, rank by rank, and write nothing'
complete -c shoal -n "__fish_shoal_using_subcommand cast" -l dry-run -d 'Say what would be received and written, and whether that could be; write nothing'
complete -c shoal -n "__fish_shoal_using_subcommand cast" -l delete -d 'Remove what the catalogue lacks from every destination'
complete -c shoal -n "__fish_shoal_using_subcommand cast" -s v -l verbose -d '-v shows phases and the MPI library, -vv every message with its rank, channel and tag'
complete -c shoal -n "__fish_shoal_using_subcommand cast" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c shoal -n "__fish_shoal_using_subcommand cast" -s V -l version -d 'Print version'
complete -c shoal -n "__fish_shoal_using_subcommand simulate" -l peers -d 'Ranks that hold or fetch the file, numbered from 1; rank 0 tracks' -r
complete -c shoal -n "__fish_shoal_using_subcommand simulate" -l pieces -d 'Pieces' -r
complete -c shoal -n "__fish_shoal_using_subcommand simulate" -l files -d 'Files that the pieces are spread over' -r
complete -c shoal -n "__fish_shoal_using_subcommand simulate" -l seeders -d 'Peers that have everything at the beginning: the first ones' -r
complete -c shoal -n "__fish_shoal_using_subcommand simulate" -l hosts -d 'Hosts that the peers are dealt to in turn [default: one a peer]' -r
complete -c shoal -n "__fish_shoal_using_subcommand simulate" -l racks -d 'Racks that the hosts fill one after the other' -r
complete -c shoal -n "__fish_shoal_using_subcommand simulate" -l uplink -d 'Pieces a round that cross a rack\'s uplink each way [default: as many as its hosts send]' -r
complete -c shoal -n "__fish_shoal_using_subcommand simulate" -l link -d 'Links of another rate: up, or up/down, as a share of the others\', as in 4-7=0.5/2' -r
complete -c shoal -n "__fish_shoal_using_subcommand simulate" -l round -d 'The time of a piece on a link, in microseconds: one round' -r
complete -c shoal -n "__fish_shoal_using_subcommand simulate" -l latency -d 'The time of a message, and of a piece\'s first byte, from host to host' -r
complete -c shoal -n "__fish_shoal_using_subcommand simulate" -l disk -d 'The time to verify and write a piece' -r
complete -c shoal -n "__fish_shoal_using_subcommand simulate" -l batch -d 'Pieces asked from one holder before the tracker is updated' -r
complete -c shoal -n "__fish_shoal_using_subcommand simulate" -l window -d 'Pieces that a peer may have asked for and not yet written' -r
complete -c shoal -n "__fish_shoal_using_subcommand simulate" -l upload-window -d 'Pieces that a peer may be sending' -r
complete -c shoal -n "__fish_shoal_using_subcommand simulate" -l patience -d 'A rank silent for so long counts as lost' -r
complete -c shoal -n "__fish_shoal_using_subcommand simulate" -l catalogue-part -d 'Peers fetch the list of files from each other, in parts of so many bytes; 0: a long one' -r
complete -c shoal -n "__fish_shoal_using_subcommand simulate" -l slow-peers -d 'Peers that are slow from the beginning: the last ones' -r
complete -c shoal -n "__fish_shoal_using_subcommand simulate" -l slow-factor -d 'How many times slower their links and disks are' -r
complete -c shoal -n "__fish_shoal_using_subcommand simulate" -l kill -d 'Peers that die, and in which round; the others are told' -r
complete -c shoal -n "__fish_shoal_using_subcommand simulate" -l fault -d 'Something that goes wrong' -r
complete -c shoal -n "__fish_shoal_using_subcommand simulate" -l faults -d 'So many faults besides, drawn from the seed' -r
complete -c shoal -n "__fish_shoal_using_subcommand simulate" -l seed -d 'The seed of all that is left to chance; equal seeds give equal runs' -r
complete -c shoal -n "__fish_shoal_using_subcommand simulate" -l check-every -d 'Check the machines\' invariants after every so many events; 0: never' -r
complete -c shoal -n "__fish_shoal_using_subcommand simulate" -l plans -d 'Instead of one job: so many small ones in which a lot goes wrong, drawn from --seed and on' -r
complete -c shoal -n "__fish_shoal_using_subcommand simulate" -l progress -d 'How progress is shown on standard error' -r -f -a "auto\t'A bar on a terminal, lines elsewhere'
bar\t'A bar'
plain\t'A line now and then'
none\t'Nothing'"
complete -c shoal -n "__fish_shoal_using_subcommand simulate" -l json -d 'Write the figures as JSON (\'-\' is standard output); equal seeds give equal files' -r -F
complete -c shoal -n "__fish_shoal_using_subcommand simulate" -l racks-untold -d 'Do not tell the ranks of the racks, as where neither a plan nor Slurm names any'
complete -c shoal -n "__fish_shoal_using_subcommand simulate" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c shoal -n "__fish_shoal_using_subcommand simulate" -s V -l version -d 'Print version'
