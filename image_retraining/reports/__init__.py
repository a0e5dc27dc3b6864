"""What is told and shown of a training: tables for the log and for files, pictures, TensorBoard."""
