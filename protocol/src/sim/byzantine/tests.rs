//! Each lie is told, and no promise breaks.
