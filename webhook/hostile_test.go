package webhook_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"xsynesis/egress"
	"xsynesis/webhook"
)

// rawServer answers every request by hand.
func rawServer(t *testing.T, answer func(net.Conn)) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close() //nolint:errcheck // some answers close it themselves
				request, err := http.ReadRequest(bufio.NewReader(conn))
				if err == nil {
					_, err = io.Copy(io.Discard, request.Body)
				}
				if err == nil {
					answer(conn)
				}
			}()
		}
	}()
	return "http://" + l.Addr().String() + "/hooks"
}

func say(conn net.Conn, format string, a ...any) { _, _ = fmt.Fprintf(conn, format, a...) }

const head = "HTTP/1.1 200 OK\r\n"

func TestNoAnswerHarmsTheShop(t *testing.T) {
	t.Parallel()
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	_, err := z.Write(make([]byte, 50<<20))
	require.NoError(t, err)
	require.NoError(t, z.Close())
	forever := func(conn net.Conn, part []byte) {
		for {
			if _, err := conn.Write(part); err != nil {
				return
			}
		}
	}
	cases := []struct {
		name, class string // empty: accepted
		answer      func(net.Conn)
	}{
		{"a server that hangs", egress.ClassTimeout, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }},
		{"a byte now and then", egress.ClassTimeout, func(c net.Conn) {
			say(c, head+"Content-Length: 1000\r\n\r\n")
			for {
				if _, err := c.Write([]byte("x")); err != nil {
					return
				}
				time.Sleep(50 * time.Millisecond)
			}
		}},
		{"ten gigabytes", "", func(c net.Conn) {
			say(c, head+"Content-Length: 10737418240\r\n\r\n")
			forever(c, make([]byte, 64<<10))
		}},
		{"a gzip bomb", "", func(c net.Conn) {
			say(c, head+"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n", bomb.Len())
			_, _ = c.Write(bomb.Bytes())
		}},
		{"a reset in the middle", egress.ClassReset, func(c net.Conn) {
			say(c, head+"Content-Length: 1000\r\n\r\nhalf")
			_ = c.(*net.TCPConn).SetLinger(0)
		}},
		{"chunks that are none", egress.ClassProtocol, func(c net.Conn) { say(c, head+"Transfer-Encoding: chunked\r\n\r\nxyz\r\n") }},
		{"a flood of 1xx", egress.ClassTooLarge, func(c net.Conn) { forever(c, []byte("HTTP/1.1 103 Early Hints\r\n\r\n")) }},
		{"headers without end", egress.ClassTooLarge, func(c net.Conn) { say(c, head); forever(c, []byte("X-More: more\r\n")) }},
		{"no HTTP", egress.ClassProtocol, func(c net.Conn) { say(c, "220 mail.example ESMTP\r\n") }},
		{"markup", "", func(c net.Conn) { say(c, head+"Content-Length: 25\r\n\r\n<script>alert(1)</script>") }},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newShop(t)
			s.registerAt(t, rawServer(t, c.answer), webhook.PaymentCompleted)
			s.dispatch(t)
			s.publish(t, s.event(webhook.PaymentCompleted, "pa_1"))
			d := s.awaitOnly(t, "tried", finished(1))
			try := d.Log[0]
			require.LessOrEqual(t, len(try.Answer), 4096)
			require.Equal(t, c.class, try.Class, try.Error)
			if c.class == "" {
				require.Equal(t, webhook.Delivered, d.Status)
				require.NotEmpty(t, try.Answer)
			} else {
				require.Equal(t, webhook.Pending, d.Status)
				require.NotEmpty(t, try.Error)
			}
			require.Less(t, try.EndedAt.Sub(try.StartedAt), 2*tryLasts)
			s.sound(t)
		})
	}
}

func TestATLSHandshakeThatStallsIsAFailure(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			if _, err := l.Accept(); err != nil {
				return
			}
		}
	}()
	s.registerAt(t, "https://"+l.Addr().String()+"/hooks")
	s.dispatch(t)
	s.publish(t, s.event(webhook.PaymentCompleted, "pa_1"))
	d := s.awaitOnly(t, "tried", finished(1))
	require.Contains(t, []string{egress.ClassTLS, egress.ClassTimeout}, d.LastClass)
	require.Zero(t, d.LastStatus)
}

func TestANameThatIsNotThereIsAFailure(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.registerAt(t, "http://127.0.0.1:1/hooks")
	s.dispatch(t)
	s.publish(t, s.event(webhook.PaymentCompleted, "pa_1"))
	d := s.awaitOnly(t, "tried", finished(1))
	require.Equal(t, egress.ClassConnect, d.LastClass)
	require.Equal(t, "Your server did not take the connection.", d.Log[0].Error)
}
