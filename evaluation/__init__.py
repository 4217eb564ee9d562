"""How well a bundle answers, on scenes that nothing was trained on."""
