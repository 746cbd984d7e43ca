"""What trainers leave in their output folders, for tests: files of every odd kind, and folders that are not there any more."""

import os
import socket
import stat

BESIDE = {}  # left beside a trainer's files
INSTEAD = {}  # take the place of the launcher's files, or of the whole folder


def _beside(leave):
    BESIDE[leave.__name__] = leave


def _instead(leave):
    INSTEAD[leave.__name__] = leave


@_beside
def dangling_link(out):
    os.symlink("model_9.pth", os.path.join(out, "latest.pth"))


@_beside
def loop(out):
    os.symlink("b.pth", os.path.join(out, "a.pth"))
    os.symlink("a.pth", os.path.join(out, "b.pth"))


@_beside
def folder_loop(out):
    os.mkdir(os.path.join(out, "runs"))
    os.symlink("..", os.path.join(out, "runs", "up"))
    os.symlink(".", os.path.join(out, "self"))


@_beside
def link_outside(out):
    os.symlink("/proc/self", os.path.join(out, "system"))


@_beside
def pipe(out):
    os.mkfifo(os.path.join(out, "queue.pth"))


@_beside
def bound_socket(out):
    with socket.socket(socket.AF_UNIX) as server:
        here = os.open(".", os.O_RDONLY)
        os.chdir(out)  # an address is short
        try:
            server.bind("server.pth")
        finally:
            os.fchdir(here)
            os.close(here)


@_beside
def device(out):
    try:
        os.mknod(os.path.join(out, "null.pth"), stat.S_IFCHR | 0o666, os.makedev(1, 3))
    except PermissionError:  # for root alone
        os.symlink("/dev/null", os.path.join(out, "null.pth"))


@_beside
def shut_file(out):
    with open(os.path.join(out, "secret.pth"), "w") as file:
        file.write("weights")
    os.chmod(os.path.join(out, "secret.pth"), 0)


@_beside
def shut_folder(out):
    os.mkdir(os.path.join(out, "shut"))
    with open(os.path.join(out, "shut", "model.pth"), "w") as file:
        file.write("weights")
    os.chmod(os.path.join(out, "shut"), 0)


@_beside
def long_name(out):
    with open(os.path.join(out, "n" * 251 + ".pth"), "w") as file:
        file.write("weights")


@_beside
def no_text(out):
    with open(os.path.join(os.fsencode(out), b"\xff\xfe\n\x1b[31m.pth"), "w") as file:
        file.write("weights")


@_beside
def deep(out):
    here = os.open(".", os.O_RDONLY)
    os.chdir(out)
    try:
        for _ in range(40):
            os.mkdir("d" * 200)
            os.chdir("d" * 200)
        with open("model.pth", "w") as file:
            file.write("weights")
    finally:
        os.fchdir(here)
        os.close(here)


@_instead
def record_is_a_folder(out):
    os.remove(os.path.join(out, "trial.json"))
    os.makedirs(os.path.join(out, "trial.json", "x"))


@_instead
def metrics_are_a_pipe(out):
    os.remove(os.path.join(out, "metrics.jsonl"))
    os.mkfifo(os.path.join(out, "metrics.jsonl"))


@_instead
def log_is_a_loop(out):
    os.remove(os.path.join(out, "stdout.log"))
    os.symlink("stdout.log", os.path.join(out, "stdout.log"))


@_instead
def folder_is_a_file(out):
    os.rename(out, out + "_moved")
    with open(out, "w") as file:
        file.write("not a folder")


@_instead
def folder_is_a_broken_link(out):
    os.rename(out, out + "_moved")
    os.symlink(out + "_gone", out)


@_instead
def folder_is_a_link(out):
    os.rename(out, out + "_moved")
    os.symlink(out + "_moved", out)


@_instead
def folder_is_renamed(out):
    os.rename(out, out + "_moved")


@_instead
def folder_is_shut(out):
    os.chmod(out, 0)
