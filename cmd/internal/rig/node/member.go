package node

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"syscall"
)

// Member is a directory that runs on its own, as "tmss directory" does: it is its hub's, but nobody starts it again.
type Member struct {
	*tree

	listen netip.AddrPort
	logged int // length of the log at the last start
}

// prepareMember writes the configuration of a hub's directory. It has the hub's credentials and keeps its data beside
// them, so that the hub comes first.
func prepareMember(h *Hub) (*Member, error) {
	t, err := newTree(h.bin, h.program, netip.Addr{})
	if err != nil {
		return nil, err
	}
	m := &Member{tree: t}
	m.verb = Directory
	ports, err := freeTCP(m.addr, 1)
	if err == nil {
		m.listen = ports[0]
		text := fmt.Sprintf("hub: %s\ndomain: %s\nstate_dir: %s\nlisten: {tls: [%q], grpc: %q}\ndirectory: {embedded: true, listen: %q}\n",
			h.opt.Hub, h.opt.Domain, h.dir, h.tls, h.grpc, m.listen)
		err = os.WriteFile(m.config, []byte(text), 0o600)
	}
	if err != nil {
		return nil, errors.Join(err, m.Remove())
	}
	return m, nil
}

// Member is the hub's directory, if that is apart, else nil.
func (h *Hub) Member() *Member { return h.member }

// Stop stops the hub, which takes its entry out of the directory, and then its directory, if that is apart.
func (h *Hub) Stop() error {
	err := h.tree.Stop()
	if h.member != nil {
		err = errors.Join(err, h.member.Stop())
	}
	return err
}

// Remove deletes the hub's folder and its directory's; Stop comes first.
func (h *Hub) Remove() error {
	err := h.tree.Remove()
	if h.member != nil {
		err = errors.Join(err, h.member.Remove())
	}
	return err
}

// leaveMember ends the directory of a hub that did not start.
func (h *Hub) leaveMember() error {
	if h.member == nil {
		return nil
	}
	return errors.Join(h.member.Stop(), h.member.Remove())
}

// Run starts a directory that is not running, on the same data, and waits until it serves.
func (m *Member) Run(ctx context.Context) error {
	m.logged = len(m.Log())
	if err := m.launch(); err != nil {
		return err
	}
	return m.whileRunning(ctx, func(ctx context.Context) error {
		for !strings.Contains("\n"+m.Log()[m.logged:], "\nready\n") {
			if err := pause(ctx, pollEvery); err != nil {
				return err
			}
		}
		return nil
	})
}

// Kill ends the directory with SIGKILL and waits until it is gone.
func (m *Member) Kill() error {
	_, err := m.KillSupervisor()
	return err
}

// Freeze stops the directory's process, which keeps its sockets: nothing answers, and nothing is refused.
func (m *Member) Freeze() error { return m.signal(syscall.SIGSTOP) }

// Thaw lets it go on.
func (m *Member) Thaw() error { return m.signal(syscall.SIGCONT) }

func (m *Member) signal(s syscall.Signal) error {
	if err := syscall.Kill(m.PID(Supervisor), s); err != nil {
		return fmt.Errorf("send %v to the directory: %w", s, err)
	}
	return nil
}
