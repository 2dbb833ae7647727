package mediatest

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/media"
)

func TestFakeKeepsTheContract(t *testing.T) {
	t.Parallel()
	Contract(t, func(*testing.T) Controller { return New(media.ClientOptions{}) })
}

// bubble runs a fake inside synctest.
func bubble(t *testing.T, o media.ClientOptions, check func(t *testing.T, f *Fake)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f := New(o)
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- f.Run(ctx) }()
		check(t, f)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestFakeWithoutProcess(t *testing.T) {
	t.Parallel()
	bubble(t, media.ClientOptions{}, func(t *testing.T, f *Fake) {
		t.Helper()
		f.SetDown(true)
		began := time.Now()
		got := make(chan opened, 1)
		open := func() {
			f.Open(media.EndpointSpec{ID: f.NewID(), Local: local}, func(port int, err error) { got <- opened{port, err} })
		}
		open()
		if o := <-got; fault.KindOf(o.err) != fault.Unavailable || time.Since(began) != time.Second {
			t.Errorf("%+v after %v", o, time.Since(began))
		}
		open()
		f.SetDown(false)
		if o := <-got; o.err != nil || o.port != firstPort {
			t.Errorf("%+v", o)
		}
		f.Refuse(errors.New("no"))
		open()
		if o := <-got; o.err == nil {
			t.Errorf("%+v", o)
		}
	})
}

func TestFakeTellsAndRemembers(t *testing.T) {
	t.Parallel()
	remote := netip.MustParseAddrPort("192.0.2.1:4000")
	var told []uint64
	o := media.ClientOptions{
		OnSilent:  func(id uint64) { told = append(told, id) },
		OnLearned: func(id uint64, _ netip.AddrPort) { told = append(told, id) },
		OnLost:    func(id uint64, _ error) { told = append(told, id) },
	}
	bubble(t, o, func(t *testing.T, f *Fake) {
		t.Helper()
		a, b, c := f.NewID(), f.NewID(), f.NewID()
		for _, id := range []uint64{a, b, c} {
			f.Open(media.EndpointSpec{ID: id, Local: local}, func(int, error) {})
		}
		f.Aim(a, media.Aim{RTP: remote})
		f.Join(a, b)
		f.Join(b, c)
		f.Silence(a)
		f.Learn(b, remote)
		f.Lose(c, errors.New("lost"))
		f.Silence(99)
		synctest.Wait()
		ea, _ := f.Endpoint(a)
		eb, _ := f.Endpoint(b)
		ec, _ := f.Endpoint(c)
		if ea.Peer != 0 || eb.Peer != c || ec.Peer != b || ea.Spec.Aim.RTP != remote || eb.Spec.Port != firstPort+2 {
			t.Errorf("%+v\n%+v\n%+v", ea, eb, ec)
		}
		if len(told) != 3 || told[0] != a || told[1] != b || told[2] != c {
			t.Errorf("told %v", told)
		}
		f.SetReport(media.Report{Endpoint: a, PacketsIn: 7})
		f.Close(a, func(r media.Report) {
			if r.PacketsIn != 7 || !r.Final {
				t.Errorf("report %+v", r)
			}
		})
		if ids := f.Endpoints(); len(ids) != 2 || ids[0] != b || ids[1] != c {
			t.Errorf("open %v", ids)
		}
	})
}
