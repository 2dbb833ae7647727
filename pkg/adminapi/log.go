package adminapi

import (
	"context"
	"log/slog"

	"google.golang.org/protobuf/proto"

	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/telemetry"
	commonv1 "github.com/mss-federation/mss/proto/mss/common/v1"
)

// Logs serves mss.common.v1.Logs.
type Logs struct {
	commonv1.UnimplementedLogsServer

	// Process is this process's name.
	Process string
	// Level is that of its logger. Nil means that it cannot be changed.
	Level *slog.LevelVar
	// Siblings are the node's other processes whose level follows.
	Siblings []LevelFollower
	// Change makes a change and its audit record.
	Change func(ctx context.Context, what string, before, after proto.Message, do func() error) error
	// Logger is told of siblings that do not follow.
	Logger *slog.Logger
}

// LevelFollower is another process of the node. *telemetry.Sibling is one.
type LevelFollower interface {
	Name() string
	SetLogLevel(level string) error
}

// GetLogLevel says how much is logged.
func (l *Logs) GetLogLevel(context.Context, *commonv1.GetLogLevelRequest) (*commonv1.GetLogLevelResponse, error) {
	if l.Level == nil {
		return nil, fault.New("get log level", fault.Unavailable, "", "this node does not know it")
	}
	return &commonv1.GetLogLevelResponse{Level: telemetry.LevelName(l.Level)}, nil
}

// SetLogLevel changes how much is logged. A sibling that does not answer keeps its level, and the response does not
// name it.
func (l *Logs) SetLogLevel(ctx context.Context, req *commonv1.SetLogLevelRequest) (*commonv1.SetLogLevelResponse, error) {
	const op = "set log level"
	before, err := l.GetLogLevel(ctx, nil)
	if err != nil {
		return nil, err
	}
	response := &commonv1.SetLogLevelResponse{Before: before.GetLevel(), Level: req.GetLevel(), Processes: []string{l.Process}}
	if err := telemetry.SetLevel(new(slog.LevelVar), req.GetLevel()); err != nil {
		return nil, err
	}
	err = l.Change(ctx, op+" "+req.GetLevel(), before, &commonv1.GetLogLevelResponse{Level: req.GetLevel()}, func() error {
		for _, sibling := range l.Siblings {
			if err := sibling.SetLogLevel(req.GetLevel()); err != nil {
				l.Logger.WarnContext(ctx, "log level not changed", "of", sibling.Name(), "err", err)
				continue
			}
			response.Processes = append(response.Processes, sibling.Name())
		}
		return telemetry.SetLevel(l.Level, req.GetLevel())
	})
	return response, err
}
