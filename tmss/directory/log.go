package directory

import (
	"context"
	"log/slog"
	"sync/atomic"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// zapLogger gives etcd, which speaks zap, our log. Its information is our debugging. So is all that it says once ending
// is set: an end that was asked for closes etcd's sockets under it, which it reports as errors.
func zapLogger(logger *slog.Logger, ending *atomic.Bool) *zap.Logger {
	return zap.New(zapCore{logger, ending})
}

// zapCore is a zapcore.Core.
type zapCore struct {
	logger *slog.Logger
	ending *atomic.Bool
}

// expected are warnings about what is meant to be so: etcd's sockets are Unix sockets of this process's user alone, and
// its own access control is not used.
var expected = map[string]bool{
	"Running http and grpc server on single port. This is not recommended for production.": true,
	"simple token is not cryptographically signed":                                         true,
}

// Enabled says whether a line of this level would be written.
func (c zapCore) Enabled(level zapcore.Level) bool {
	return c.logger.Enabled(context.Background(), c.levelOf(zapcore.Entry{Level: level}))
}

// With binds fields.
func (c zapCore) With(fields []zapcore.Field) zapcore.Core {
	return zapCore{c.logger.With(slog.Any("etcd", encode(fields))), c.ending}
}

// Check adds this core to those that write the entry.
func (c zapCore) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.logger.Enabled(context.Background(), c.levelOf(entry)) {
		return checked.AddCore(entry, c)
	}
	return checked
}

// Write makes a line.
func (c zapCore) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	c.logger.LogAttrs(context.Background(), c.levelOf(entry), "etcd says",
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

func (c zapCore) levelOf(entry zapcore.Entry) slog.Level {
	switch {
	case entry.Level <= zapcore.InfoLevel, c.ending.Load(), expected[entry.Message]:
		return slog.LevelDebug
	case entry.Level == zapcore.WarnLevel:
		return slog.LevelWarn
	default:
		return slog.LevelError
	}
}
