package directory

import (
	"context"
	"log/slog"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// zapLogger gives etcd, which speaks zap, our log. Its information is our debugging.
func zapLogger(logger *slog.Logger) *zap.Logger { return zap.New(zapCore{logger}) }

// zapCore is a zapcore.Core.
type zapCore struct{ logger *slog.Logger }

// Enabled says whether a line of this level would be written.
func (c zapCore) Enabled(level zapcore.Level) bool {
	return c.logger.Enabled(context.Background(), levelOf(level))
}

// With binds fields.
func (c zapCore) With(fields []zapcore.Field) zapcore.Core {
	return zapCore{c.logger.With(slog.Any("etcd", encode(fields)))}
}

// Check adds this core to those that write the entry.
func (c zapCore) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(entry.Level) {
		return checked.AddCore(entry, c)
	}
	return checked
}

// Write makes a line.
func (c zapCore) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	c.logger.LogAttrs(context.Background(), levelOf(entry.Level), "etcd says",
		slog.String("what", entry.Message), slog.Any("fields", encode(fields)))
	return nil
}

// Sync has nothing to do.
func (zapCore) Sync() error { return nil }

func encode(fields []zapcore.Field) map[string]any {
	encoder := zapcore.NewMapObjectEncoder()
	for _, f := range fields {
		f.AddTo(encoder)
	}
	return encoder.Fields
}

func levelOf(level zapcore.Level) slog.Level {
	switch {
	case level <= zapcore.InfoLevel:
		return slog.LevelDebug
	case level == zapcore.WarnLevel:
		return slog.LevelWarn
	default:
		return slog.LevelError
	}
}
