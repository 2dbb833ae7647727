package main

import (
	"io"
	"log/slog"

	"github.com/mss-federation/mss/lmss/config"
)

// newLogger makes the one logger of a process. The configuration was checked, so its level is one of slog's.
func newLogger(w io.Writer, c config.Log, process string) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		level = slog.LevelInfo
	}
	options := &slog.HandlerOptions{Level: level}
	var handler slog.Handler = slog.NewTextHandler(w, options)
	if c.Format == "json" {
		handler = slog.NewJSONHandler(w, options)
	}
	return slog.New(handler).With("process", process)
}
