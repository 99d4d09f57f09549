"""What all commands share, so that one thing is said in one way.

A command has a function `main(argv)`. Commands about an experiment have the flag `--config`: their
module ends in `config_flag.run(main)`. The others read theirs with `arguments`. Everywhere

    --workdir=DIR     is the folder of a run (or of a comparison),
    --output=PATH     is the file or folder to write, and folders on the way to it are made: a file
                      that exists is refused, unless there is
    --overwrite       too. Without --output, a command writes its own file anew, as each says.
                      (--export of `convert` is such a file, too.)
    --options=NAME=VALUE,NAME=VALUE
                      are fields of the dataset's options; a list is joined by +,
    --tasks=edge+sal  are names of tasks, joined by +,

~ is the home folder in every path, and what went wrong is told in one sentence.
"""
