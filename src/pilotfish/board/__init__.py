"""What goes to a board and how: the C compiler, the emulator, the runtime."""
