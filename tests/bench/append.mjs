export async function journalAppend() { return []; }
