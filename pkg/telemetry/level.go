package telemetry

import (
	"log/slog"
	"slices"
	"strings"

	"github.com/mss-federation/mss/pkg/fault"
)

// Levels are the names of log levels, the most talkative first.
func Levels() []string { return []string{"debug", "info", "warn", "error"} }

// SetLevel changes a level to one of [Levels].
func SetLevel(level *slog.LevelVar, name string) error {
	if !slices.Contains(Levels(), name) {
		return fault.New("set log level", fault.Invalid, name, "choose one of "+strings.Join(Levels(), ", "))
	}
	return level.UnmarshalText([]byte(name))
}

// LevelName is the name of a level.
func LevelName(level *slog.LevelVar) string { return strings.ToLower(level.Level().String()) }
