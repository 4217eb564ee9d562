"""What the app reports of itself: metrics, traces and logs."""
