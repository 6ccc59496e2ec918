package shop_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"xsynesis/audit"
	"xsynesis/shop"
)

// done lists what was done to a row, the oldest first.
func (c counter) done(t *testing.T, resource string) (actions []string, rows []audit.Entry) {
	t.Helper()
	all, err := audit.List(t.Context(), c.pool, c.merchant, audit.Filter{Resource: resource}, audit.Page{Limit: 50})
	require.NoError(t, err)
	slices.SortFunc(all, func(a, b audit.Entry) int { return a.At.Compare(b.At) }) // ids of one millisecond have no order
	for _, r := range all {
		require.Equal(t, ada, r.By)
		actions = append(actions, r.Action)
	}
	return actions, all
}

func TestWhatIsDoneToAnItemIsRecorded(t *testing.T) {
	t.Parallel()
	c := open(t)
	once := beansWith(func(f *shop.ItemForm) { f.Once, f.Stock = []byte("once"), n(5) })
	item := c.item(t, once)
	require.Equal(t, item.ID, c.item(t, once).ID) // asked again, nothing is done again
	change := func(change func(*shop.ItemForm)) error {
		_, err := c.UpdateItem(t.Context(), c.merchant, false, item.ID, func(f *shop.ItemForm) error { change(f); return nil }, ada)
		return err
	}
	require.NoError(t, change(func(f *shop.ItemForm) { f.Title = beans.Title }))
	require.NoError(t, change(func(f *shop.ItemForm) { f.Price++ }))
	require.NoError(t, change(func(f *shop.ItemForm) { f.Stock = n(7) }))
	require.Error(t, change(func(f *shop.ItemForm) { f.Title = "" }))
	for _, more := range []int{3, 0} {
		_, err := c.AddStock(t.Context(), c.merchant, true, item.ID, more, ada)
		require.NoError(t, err)
	}
	for _, archived := range []bool{true, true, false, false} {
		_, err := c.ArchiveItem(t.Context(), c.merchant, false, item.ID, archived, ada)
		require.NoError(t, err)
	}

	actions, rows := c.done(t, string(item.ID))
	require.Equal(t, []string{"item.created", "item.changed", "item.stock_changed", "item.stock_changed", "item.archived", "item.restored"}, actions)
	require.Contains(t, string(rows[0].After), `"stock": 5`)
	require.Contains(t, string(rows[1].Before), `"price": "`+beans.Price.String()+`"`)
	require.Contains(t, string(rows[1].After), `"price": "`+(beans.Price+1).String()+`"`)
	require.JSONEq(t, `{"livemode": false, "stock": 5}`, string(rows[2].Before))
	require.JSONEq(t, `{"livemode": false, "stock": 7}`, string(rows[2].After))
	require.JSONEq(t, `{"livemode": true, "stock": 8}`, string(rows[3].After))
}

func TestTheRecordOfKeysDoesNotShowThem(t *testing.T) {
	t.Parallel()
	c := open(t)
	game := c.item(t, shop.ItemForm{Title: "A game", Kind: shop.LicenceKey, Price: 1})
	for range 2 { // the second time, all of them are known
		_, _, err := c.ImportKeys(t.Context(), c.merchant, false, game.ID, []string{"SECRET-1", "SECRET-2"}, ada)
		require.NoError(t, err)
	}
	actions, rows := c.done(t, string(game.ID))
	require.Equal(t, []string{"item.created", "item.keys_imported"}, actions)
	require.JSONEq(t, `{"livemode": false, "stock": 2}`, string(rows[1].After))
}

func TestWhatIsUploadedIsRecordedOnce(t *testing.T) {
	t.Parallel()
	c := open(t)
	for range 2 {
		picture, err := c.UploadImage(t.Context(), c.merchant, "cup.png", bytes.NewReader(aPicture(t, 4, 4)), ada)
		require.NoError(t, err)
		file, err := c.UploadFile(t.Context(), c.merchant, "book.txt", strings.NewReader("text"), ada)
		require.NoError(t, err)
		for _, u := range []shop.Upload{picture, file} {
			actions, rows := c.done(t, string(u.ID))
			require.Equal(t, []string{"upload.created"}, actions)
			require.Contains(t, string(rows[0].After), `"name": "`+u.Name+`"`)
		}
	}
}
