//! A scripted discoverer under a paused clock.
