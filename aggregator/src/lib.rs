//! Merges what the filters see, forecasts, decides and scales.
