package daemon

import (
	"context"
	"errors"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/mss-federation/mss/pkg/configfile"
	"github.com/mss-federation/mss/pkg/supervise"
)

// Child is what a process that the supervisor started works with.
type Child[T any] struct {
	*supervise.Inheritance
	Config T
	Logger *slog.Logger
	Level  *slog.LevelVar // of Logger
}

// RunChild does a child's work with what its supervisor handed down; log gives its level and format. Outside a
// supervisor the error wraps supervise.ErrNotSupervised.
func RunChild[T any](cmd *cobra.Command, log func(*T) (level, format string), body func(context.Context, *Child[T]) error) error {
	in, err := supervise.Inherit()
	if errors.Is(err, supervise.ErrNotSupervised) {
		program := cmd.Root().Name()
		return usageError{program + " run", &notSupervised{"\"" + cmd.CommandPath() + "\" is started by \"" + program + " run\", which holds its sockets; run that instead"}}
	}
	if err != nil {
		return err
	}
	cfg, err := configfile.Parse[T]("configuration from the supervisor", in.Config)
	if err != nil {
		return Exit(ExitConfig, err)
	}
	level, format := log(&cfg)
	logger, least := Logger(cmd.ErrOrStderr(), level, format, in.Name)
	c := &Child[T]{Inheritance: in, Config: cfg, Logger: logger, Level: least}
	// The supervisor starts us as /proc/self/exe, which would be our name in ps and top. Nothing depends on it.
	if err := os.WriteFile("/proc/self/comm", []byte(cmd.Root().Name()+"-"+in.Name), 0); err != nil {
		c.Logger.Debug("process not named", "error", err)
	}
	ctx, stop := in.Context(cmd.Context())
	defer stop()
	return body(ctx, c)
}

// notSupervised says what to run instead.
type notSupervised struct{ text string }

func (e *notSupervised) Error() string { return e.text }

func (*notSupervised) Unwrap() error { return supervise.ErrNotSupervised }
