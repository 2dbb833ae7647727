package daemon

import (
	"io"
	"log/slog"
)

// Logger makes the one logger of a process. level is one of slog's, as the configuration's check made sure of; format
// is text or json. What it logs follows the variable from then on.
func Logger(w io.Writer, level, format, process string) (*slog.Logger, *slog.LevelVar) {
	least := new(slog.LevelVar) // info
	if err := least.UnmarshalText([]byte(level)); err != nil {
		least.Set(slog.LevelInfo)
	}
	options := &slog.HandlerOptions{Level: least}
	var handler slog.Handler = slog.NewTextHandler(w, options)
	if format == "json" {
		handler = slog.NewJSONHandler(w, options)
	}
	return slog.New(handler).With("process", process), least
}
