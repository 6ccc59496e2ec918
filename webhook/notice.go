package webhook

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"xsynesis/id"
	"xsynesis/queries"
)

// Notice is a line in the dashboard's bell, for the shop's owners.
type Notice struct {
	ID        id.Notice // given by [Service.NoticeTx]
	Merchant  id.Merchant
	Livemode  bool
	Kind      string // what it is about, such as webhook_disabled
	Text      string // a sentence
	Link      string // a path of the dashboard, or empty
	CreatedAt time.Time
	ReadAt    *time.Time
}

// noticesShown bounds the bell's list and its figure.
const noticesShown = 100

// NoticeTx writes a line for the bell, and tells those who subscribed to notices. Errors: [ErrBody] for a line that
// is empty or not text.
func (s *Service) NoticeTx(ctx context.Context, tx pgx.Tx, now time.Time, n Notice) error {
	if strings.TrimSpace(n.Text) == "" || !printable(n.Text) || !printable(n.Link) {
		return fmt.Errorf("notice %q: %w", n.Kind, ErrBody)
	}
	made := id.New[id.Notice](now)
	if err := queries.New().NoticeInsert(ctx, tx, queries.NoticeInsertParams{
		ID: made, MerchantID: n.Merchant, Livemode: n.Livemode, Kind: n.Kind, Text: n.Text, Link: n.Link, CreatedAt: now,
	}); err != nil {
		return fmt.Errorf("notice of %s: %w", n.Merchant, err)
	}
	payload := NoticePayload{NoticeID: made, Kind: n.Kind, Text: n.Text}
	if n.Link != "" {
		payload.URL = s.o.PublicURL + n.Link
	}
	return s.PublishTx(ctx, tx, now, Event{
		Merchant: n.Merchant, Livemode: n.Livemode, Type: NoticeCreated, ResourceType: ResourceNotice, ResourceID: string(made), Payload: payload,
	})
}

// Notices lists a shop's newest notices, or those of them that nobody has read.
func (s *Service) Notices(ctx context.Context, merchant id.Merchant, livemode, unread bool) ([]Notice, error) {
	q := queries.New()
	var rows []queries.Notice
	var err error
	if unread {
		rows, err = q.NoticeListUnread(ctx, s.pool, queries.NoticeListUnreadParams{MerchantID: merchant, Livemode: livemode, Most: noticesShown})
	} else {
		rows, err = q.NoticeList(ctx, s.pool, queries.NoticeListParams{MerchantID: merchant, Livemode: livemode, Most: noticesShown})
	}
	if err != nil {
		return nil, fmt.Errorf("notices of %s: %w", merchant, err)
	}
	out := make([]Notice, len(rows))
	for i, r := range rows {
		out[i] = Notice{
			ID: r.ID, Merchant: r.MerchantID, Livemode: r.Livemode, Kind: r.Kind, Text: r.Text, Link: r.Link, CreatedAt: r.CreatedAt, ReadAt: r.ReadAt,
		}
	}
	return out, nil
}

// UnreadNotices counts what nobody has read, to 100 at most.
func (s *Service) UnreadNotices(ctx context.Context, merchant id.Merchant, livemode bool) (int, error) {
	n, err := queries.New().NoticeCountUnread(ctx, s.pool, queries.NoticeCountUnreadParams{MerchantID: merchant, Livemode: livemode, Most: noticesShown})
	if err != nil {
		return 0, fmt.Errorf("unread notices of %s: %w", merchant, err)
	}
	return int(n), nil
}

// ReadNotices marks as read what a shop's owner was shown: a notice and all before it, or all where newest is empty.
func (s *Service) ReadNotices(ctx context.Context, merchant id.Merchant, livemode bool, newest id.Notice) error {
	if err := queries.New().NoticeRead(ctx, s.pool, queries.NoticeReadParams{
		MerchantID: merchant, Livemode: livemode, Newest: cursor(string(newest)), Now: s.now(),
	}); err != nil {
		return fmt.Errorf("read notices of %s: %w", merchant, err)
	}
	return nil
}
