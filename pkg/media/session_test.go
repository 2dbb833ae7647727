package media_test

import (
	"context"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/mss-federation/mss/pkg/media"
	mediav1 "github.com/mss-federation/mss/proto/mss/media/v1"
)

// stream opens a control stream without the client, to say what it would never say.
func stream(t *testing.T, socket string) mediav1.Media_ControlClient {
	t.Helper()
	conn, err := grpc.NewClient("unix://"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	s, err := mediav1.NewMediaClient(conn).Control(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func tell(t *testing.T, s mediav1.Media_ControlClient, commands ...*mediav1.Command) {
	t.Helper()
	if err := s.Send(&mediav1.CommandBatch{Commands: commands}); err != nil {
		t.Fatal(err)
	}
}

func syncOf(more bool, endpoints ...*mediav1.Endpoint) *mediav1.Command {
	return &mediav1.Command{Id: 3, Action: &mediav1.Command_Sync{Sync: &mediav1.Sync{Endpoints: endpoints, More: more}}}
}

func endpoint(id uint64) *mediav1.Endpoint {
	return &mediav1.Endpoint{Open: &mediav1.Open{Endpoint: id, Local: local.AsSlice()}}
}

func TestStreamBeginsWithSync(t *testing.T) {
	t.Parallel()
	socket := socketPath(t)
	serve(t, media.Options{Socket: socket})
	s := stream(t, socket)
	tell(t, s, &mediav1.Command{Action: &mediav1.Command_Open{Open: endpoint(1).GetOpen()}})
	if _, err := s.Recv(); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("a stream without Sync ends with %v", err)
	}
}

func TestNewerStreamTakesOver(t *testing.T) {
	t.Parallel()
	socket := socketPath(t)
	serve(t, media.Options{Socket: socket})
	older := stream(t, socket)
	tell(t, older, syncOf(false, endpoint(1)))
	if _, err := older.Recv(); err != nil {
		t.Fatal(err)
	}
	newer := stream(t, socket)
	tell(t, newer, syncOf(false, endpoint(1), endpoint(2)))
	batch, err := newer.Recv()
	if err != nil {
		t.Fatal(err)
	}
	if s := batch.GetEvents()[0].GetSynced(); s.GetKept() != 1 || s.GetOpened() != 1 {
		t.Errorf("synced %v", s)
	}
	if _, err := older.Recv(); status.Code(err) != codes.Aborted {
		t.Errorf("the older stream ends with %v", err)
	}
}

// Nothing is closed before a Sync in several messages is complete.
func TestSyncInParts(t *testing.T) {
	t.Parallel()
	socket := socketPath(t)
	serve(t, media.Options{Socket: socket})
	s := stream(t, socket)
	tell(t, s, syncOf(true, endpoint(1)), syncOf(false, endpoint(2)))
	if _, err := s.Recv(); err != nil {
		t.Fatal(err)
	}
	tell(t, s, syncOf(true, endpoint(2)), syncOf(true), syncOf(false, endpoint(1)))
	batch, err := s.Recv()
	if err != nil {
		t.Fatal(err)
	}
	m := batch.GetEvents()[0].GetSynced()
	if m.GetKept() != 2 || m.GetClosed() != 0 || len(m.GetEndpoints()) != 2 || m.GetMore() {
		t.Errorf("synced %v", m)
	}
}

// What a newer signalling process may send to this one is refused, and nothing else is.
func TestUnknownCommand(t *testing.T) {
	t.Parallel()
	socket := socketPath(t)
	serve(t, media.Options{Socket: socket})
	s := stream(t, socket)
	tell(t, s, syncOf(false), &mediav1.Command{Id: 8})
	for {
		batch, err := s.Recv()
		if err != nil {
			t.Fatal(err)
		}
		for _, ev := range batch.GetEvents() {
			if r := ev.GetResult(); r.GetCommand() == 8 {
				if r.GetFailure() == nil {
					t.Error("no failure is told")
				}
				return
			}
		}
	}
}
