"""Time and memory of any `torch.nn.Module`."""
