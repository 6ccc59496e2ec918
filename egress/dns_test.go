package egress_test

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"

	"golang.org/x/net/dns/dnsmessage"
)

// names is a name server that lives in this process alone: name → for each lookup the answer, the last one for ever. An
// answer is addresses and, for an alias, the name behind it. What it does not know is public.
type names struct {
	answers map[string][][]string

	mu    sync.Mutex
	asked map[string]int
}

const somewherePublic = "93.184.215.14"

// resolver is the real resolver, asking this name server through a pipe.
func (n *names) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, StrictErrors: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go n.serve(theirs)
		return ours, nil
	}}
}

// lookups is how often a name's IPv4 address was asked for.
func (n *names) lookups(name string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.asked[name]
}

// serve answers as over TCP: two bytes of length before each message.
func (n *names) serve(conn net.Conn) {
	defer conn.Close() //nolint:errcheck // a pipe
	for {
		var length [2]byte
		if _, err := io.ReadFull(conn, length[:]); err != nil {
			return
		}
		query := make([]byte, binary.BigEndian.Uint16(length[:]))
		if _, err := io.ReadFull(conn, query); err != nil {
			return
		}
		reply, err := n.reply(query)
		if err != nil {
			return
		}
		binary.BigEndian.PutUint16(length[:], uint16(len(reply)))
		if _, err := conn.Write(append(length[:], reply...)); err != nil {
			return
		}
	}
}

func (n *names) reply(query []byte) ([]byte, error) {
	var m dnsmessage.Message
	if err := m.Unpack(query); err != nil {
		return nil, err
	}
	q := m.Questions[0]
	m.Response, m.Authoritative, m.RecursionAvailable, m.Additionals = true, true, true, nil
	at := q.Name
	for _, answer := range n.next(strings.TrimSuffix(q.Name.String(), "."), q.Type) {
		addr, err := netip.ParseAddr(answer)
		head := dnsmessage.ResourceHeader{Name: at, Class: dnsmessage.ClassINET}
		switch {
		case err != nil:
			at = dnsmessage.MustNewName(answer + ".")
			head.Type = dnsmessage.TypeCNAME
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: head, Body: &dnsmessage.CNAMEResource{CNAME: at}})
		case addr.Is4() && q.Type == dnsmessage.TypeA:
			head.Type = dnsmessage.TypeA
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: head, Body: &dnsmessage.AResource{A: addr.As4()}})
		case addr.Is6() && q.Type == dnsmessage.TypeAAAA:
			head.Type = dnsmessage.TypeAAAA
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: head, Body: &dnsmessage.AAAAResource{AAAA: addr.As16()}})
		}
	}
	return m.Pack()
}

// next counts the IPv4 questions; the IPv6 question of the same lookup gets the same answer.
func (n *names) next(name string, question dnsmessage.Type) []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	answers, known := n.answers[name]
	if !known {
		answers = [][]string{{somewherePublic}}
	}
	if n.asked == nil {
		n.asked = map[string]int{}
	}
	i := min(n.asked[name], len(answers)-1)
	if question == dnsmessage.TypeA {
		n.asked[name]++
	}
	return answers[i]
}
