export async function shmPerCall() { return []; }
